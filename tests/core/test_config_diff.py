from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.config_diff import ABSENT, KeyDifference, assignments, changes, differences, flatten

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=3),
    lambda inner: st.dictionaries(st.text("abc", min_size=1, max_size=2), inner, max_size=3),
    max_leaves=8,
)
TREES = st.dictionaries(st.text("abc", min_size=1, max_size=2), VALUES, max_size=3)


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        ({"a": 1}, {"a": 1}, []),
        ({"a": {"b": 1}}, {"a": {"b": 2}}, [KeyDifference("a.b", 1, 2)]),
        ({"a": 1}, {"a": 1.0}, [KeyDifference("a", 1, 1.0)]),
        ({"a": 1}, {"a": True}, [KeyDifference("a", 1, True)]),
        ({"a": None}, {}, [KeyDifference("a", None, ABSENT)]),
        ({}, {"a": {}}, [KeyDifference("a", ABSENT, {})]),
        ({"a": {}}, {"a": {"b": 1}}, [KeyDifference("a.b", ABSENT, 1)]),
        ({"a": {"b": 1}}, {"a": {}}, [KeyDifference("a.b", 1, ABSENT)]),
        ({"a": [1]}, {"a": [1, 2]}, [KeyDifference("a", [1], [1, 2])]),
    ],
)
def test_differences(old, new, found):
    assert differences(old, new) == found


def test_how_differences_read():
    found = differences({"a": 20, "b": None, "c": ""}, {"a": 3, "b": True})
    assert assignments(found) == "a=3 (20), b=true (null), c=absent ('')"
    assert changes(found) == "a 20 -> 3, b null -> true, c '' -> absent"


@given(TREES)
def test_nothing_differs_from_itself(tree):
    assert differences(tree, tree) == []


@given(TREES, TREES)
def test_both_directions_name_the_same_keys(old, new):
    there = {item.key for item in differences(old, new)}
    back = {item.key for item in differences(new, old)}
    assert there == back
    assert there <= flatten(old).keys() | flatten(new).keys()
