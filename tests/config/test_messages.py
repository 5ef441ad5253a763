"""Sentences about wrong configuration values."""

from __future__ import annotations

import pytest

from pipeline.config.messages import describe_allowed_values, find_key_schema, suggest_key

KNOWN = {
    "a.size": {"type": "integer"},
    "a.tags": {"type": "object", "additionalProperties": {"type": "string"}},
    "b.mosaic": {"type": "number"},
    "b.c.deep": {"type": "boolean"},
}


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"type": "boolean"}, "true or false"),
        ({"type": "integer", "minimum": 1}, "a whole number, at least 1"),
        ({"type": "number", "exclusiveMinimum": 0, "maximum": 1}, "a number, above 0 and at most 1"),
        ({"anyOf": [{"type": "number"}, {"type": "null"}]}, "a number, or null"),
        ({"enum": ["a", "b"], "type": "string"}, "one of a, b"),
        ({"const": "a"}, "a"),
        ({"type": "array", "items": {"type": "string"}}, "a list, each item text"),
        ({"type": "string", "minLength": 1}, "text, at least 1 long"),
        ({"type": "string", "pattern": "x", "description": "an x"}, "an x"),
    ],
)
def test_allowed_values_are_described(schema, words):
    assert describe_allowed_values(schema) == words


@pytest.mark.parametrize(
    ("key", "suggestion"),
    [
        ("a.sise", ": did you mean a.size?"),
        ("a.mosaic", ": did you mean b.mosaic?"),
        ("aa", ": did you mean a?"),
        ("b.c.dep", ": did you mean b.c.deep?"),
        ("a.zzz", ""),
    ],
)
def test_similar_key_is_suggested(key, suggestion):
    assert suggest_key(key, KNOWN) == suggestion


@pytest.mark.parametrize(
    ("key", "found"),
    [
        ("a.size.int", ("a.size", KNOWN["a.size"])),
        ("a.tags.x", ("a.tags.x", {"type": "string"})),
        ("a.tags", ("a.tags", KNOWN["a.tags"])),
        ("a", ("a", None)),
    ],
)
def test_parts_that_pydantic_appends_are_removed(key, found):
    assert find_key_schema(key, KNOWN) == found
