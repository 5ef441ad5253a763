"""Describe a wrong configuration value in one sentence: its key, the value, and the allowed values."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from difflib import get_close_matches
from typing import Any

from pipeline.core.config_diff import format_yaml_value

JsonSchema = Mapping[str, Any]

TYPE_WORDS = {
    "integer": "a whole number",
    "number": "a number",
    "string": "text",
    "boolean": "true or false",
    "null": "null",
    "object": "a mapping of names to text",
}
BOUND_WORDS = {
    "minimum": "at least {}",
    "exclusiveMinimum": "above {}",
    "maximum": "at most {}",
    "exclusiveMaximum": "below {}",
    "minLength": "at least {} long",
    "pattern": "matching {}",
}


def flatten_schema(
    schema: JsonSchema, prefix: str = "", definitions: JsonSchema | None = None
) -> dict[str, JsonSchema]:
    """Flatten the JSON schema of nested groups: dotted key -> schema of its value, without the groups."""
    definitions = schema.get("$defs", {}) if definitions is None else definitions
    found: dict[str, JsonSchema] = {}
    for name, item in schema["properties"].items():
        target = definitions[item["$ref"].rpartition("/")[2]] if "$ref" in item else item
        group = "properties" in target
        found |= (
            flatten_schema(target, f"{prefix}{name}.", definitions) if group else {f"{prefix}{name}": target}
        )
    return found


def find_key_schema(key: str, known: Mapping[str, JsonSchema]) -> tuple[str, JsonSchema | None]:
    """Find the schema of a key of a pydantic error, to which pydantic may have appended parts.

    Returns:
        The key as the user wrote it, and its schema; None if it is a group or unknown.
    """
    parts = key.split(".")
    heads = [".".join(parts[:length]) for length in range(1, len(parts) + 1)]
    head = next((head for head in heads if head in known), None)
    if head is None:
        return key, None
    free = known[head].get("additionalProperties")
    return (key, free) if free and key != head else (head, known[head])


def describe_allowed_values(schema: JsonSchema) -> str:
    """Describe the allowed values of a schema: `a number, above 0 and at most 1, or null`."""
    if "description" in schema:
        return str(schema["description"])
    if "anyOf" in schema:
        return ", or ".join(describe_allowed_values(option) for option in schema["anyOf"])
    if "enum" in schema or "const" in schema:
        options = schema.get("enum", [schema.get("const")])
        return (
            f"one of {', '.join(map(format_yaml_value, options))}"
            if len(options) > 1
            else format_yaml_value(options[0])
        )
    if schema.get("type") == "array":
        return f"a list, each item {describe_allowed_values(schema['items'])}"
    bounds = [
        words.format(format_yaml_value(schema[bound]))
        for bound, words in BOUND_WORDS.items()
        if bound in schema
    ]
    return ", ".join(filter(None, [TYPE_WORDS[schema["type"]], " and ".join(bounds)]))


def suggest_key(key: str, known: Collection[str]) -> str:
    """Suggest a known key that is similar to an unknown one; empty if there is none."""
    names = {*known, *(name.rpartition(".")[0] for name in known)}
    group, _, last = key.rpartition(".")
    elsewhere = sorted(name for name in names if name.rpartition(".")[2] == last)
    siblings = {name.rpartition(".")[2]: name for name in names if name.rpartition(".")[0] == group}
    close = elsewhere or [siblings[near] for near in get_close_matches(last, siblings, n=1)]
    return f": did you mean {close[0]}?" if close else ""


def describe_wrong_value(key: str, value: object, schema: JsonSchema) -> str:
    """Describe a wrong value and the allowed ones in a sentence."""
    shown = repr(value) if isinstance(value, str) else format_yaml_value(value)
    return f"{key}={shown[:80]} is not allowed: it must be {describe_allowed_values(schema)}"
