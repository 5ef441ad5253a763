"""From a schema and a wrong value to one sentence: which key, which value, what it may be."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from difflib import get_close_matches
from typing import Any

from pipeline.core.config_diff import render

JsonSchema = Mapping[str, Any]

TYPES = {
    "integer": "a whole number",
    "number": "a number",
    "string": "text",
    "boolean": "true or false",
    "null": "null",
    "object": "a mapping of names to text",
}
BOUNDS = {
    "minimum": "at least {}",
    "exclusiveMinimum": "above {}",
    "maximum": "at most {}",
    "exclusiveMaximum": "below {}",
    "minLength": "at least {} long",
    "pattern": "fitting {}",
}


def properties(
    schema: JsonSchema, above: str = "", definitions: JsonSchema | None = None
) -> dict[str, JsonSchema]:
    """Flatten the JSON schema of nested groups: dotted key -> the schema of its value, groups left out."""
    definitions = schema.get("$defs", {}) if definitions is None else definitions
    found: dict[str, JsonSchema] = {}
    for name, item in schema["properties"].items():
        target = definitions[item["$ref"].rpartition("/")[2]] if "$ref" in item else item
        group = "properties" in target
        found |= properties(target, f"{above}{name}.", definitions) if group else {f"{above}{name}": target}
    return found


def schema_of(key: str, known: Mapping[str, JsonSchema]) -> tuple[str, JsonSchema | None]:
    """Find the schema that a key, or what pydantic appended to it, falls under.

    Returns:
        The key as a user knows it, and its schema; None where `key` names a group, or nothing.
    """
    parts = key.split(".")
    heads = [".".join(parts[:length]) for length in range(1, len(parts) + 1)]
    head = next((head for head in heads if head in known), None)
    if head is None:
        return key, None
    free = known[head].get("additionalProperties")
    return (key, free) if free and key != head else (head, known[head])


def allowed(schema: JsonSchema) -> str:
    """Say what a value may be: `a number above 0 and at most 1, or null`."""
    if "description" in schema:
        return str(schema["description"])
    if "anyOf" in schema:
        return ", or ".join(allowed(option) for option in schema["anyOf"])
    if "enum" in schema or "const" in schema:
        options = schema.get("enum", [schema.get("const")])
        return f"one of {', '.join(map(render, options))}" if len(options) > 1 else render(options[0])
    if schema.get("type") == "array":
        return f"a list, each item {allowed(schema['items'])}"
    bounds = [words.format(render(schema[bound])) for bound, words in BOUNDS.items() if bound in schema]
    return ", ".join(filter(None, [TYPES[schema["type"]], " and ".join(bounds)]))


def nearest(key: str, known: Collection[str]) -> str:
    """Suggest what an unknown key may have meant; empty where nothing comes near."""
    names = {*known, *(name.rpartition(".")[0] for name in known)}
    group, _, last = key.rpartition(".")
    elsewhere = sorted(name for name in names if name.rpartition(".")[2] == last)
    siblings = {name.rpartition(".")[2]: name for name in names if name.rpartition(".")[0] == group}
    close = elsewhere or [siblings[near] for near in get_close_matches(last, siblings, n=1)]
    return f": did you mean {close[0]}?" if close else ""


def refusal(key: str, value: object, schema: JsonSchema) -> str:
    """Say that a value is not allowed, and what is."""
    shown = repr(value) if isinstance(value, str) else render(value)
    return f"{key}={shown[:80]} is not allowed: it must be {allowed(schema)}"
