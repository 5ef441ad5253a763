"""Differences of nested configurations, and their text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.config_diff import (
    ABSENT,
    MAX_LINE_LENGTH,
    KeyDifference,
    diff_configs,
    flatten_config,
    format_changes,
    format_overrides,
    join_first,
)

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
        (
            {"a": {"b": 1}},
            {"a.b": 1},
            [KeyDifference("a.b", ABSENT, 1), KeyDifference("a.b", 1, ABSENT)],
        ),
        ({"a": {}, "a.b": 1}, {"a": 1, "a.b": 1}, [KeyDifference("a", {}, 1)]),
        ({"a": [1]}, {"a": [1, 2]}, [KeyDifference("a", [1], [1, 2])]),
    ],
)
def test_diff_configs_lists_changed_keys(old, new, found):
    assert diff_configs(old, new) == found


def test_differences_are_formatted_as_overrides_and_as_changes():
    found = diff_configs({"a": 20, "b": None, "c": ""}, {"a": 3, "b": True})
    assert format_overrides(found) == ["a=3 (20)", "b=true (null)", "c=absent ('')"]
    assert format_changes(found) == ["a 20 -> 3", "b null -> true", "c '' -> absent"]


@pytest.mark.parametrize("number", [1, 3, 4, 30])
def test_differences_that_fit_on_a_line_are_named_and_the_others_counted(number):
    texts = [f"finetune.learning_rate_{n}=0.001 (0.01)" for n in range(number)]
    line = join_first(texts, "FILE")
    assert len(line) <= MAX_LINE_LENGTH + len(" and 30 more (all: FILE)")
    shown = line.count("finetune.")
    assert (
        line.endswith(texts[-1]) if shown == number else line.endswith(f"{number - shown} more (all: FILE)")
    )


def test_long_difference_is_cut():
    line = join_first(["data.source=" + "deep/" * 100], "FILE")
    assert len(line) < 140
    assert line.endswith("... (all: FILE)")


@given(TREES)
def test_configuration_does_not_differ_from_itself(tree):
    assert diff_configs(tree, tree) == []


@given(TREES, TREES)
def test_both_directions_list_the_same_keys(old, new):
    there = {item.key for item in diff_configs(old, new)}
    back = {item.key for item in diff_configs(new, old)}
    assert there == back
    assert there <= flatten_config(old).keys() | flatten_config(new).keys()
