from __future__ import annotations

import pytest

from pipeline.config import messages
from pipeline.config.messages import schema_of

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
def test_what_a_value_may_be(schema, words):
    assert messages.allowed(schema) == words


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
def test_what_an_unknown_key_may_have_meant(key, suggestion):
    assert messages.nearest(key, KNOWN) == suggestion


@pytest.mark.parametrize(
    ("key", "found"),
    [
        ("a.size.int", ("a.size", KNOWN["a.size"])),
        ("a.tags.x", ("a.tags.x", {"type": "string"})),
        ("a.tags", ("a.tags", KNOWN["a.tags"])),
        ("a", ("a", None)),
    ],
)
def test_what_pydantic_appends_is_cut(key, found):
    assert schema_of(key, KNOWN) == found
