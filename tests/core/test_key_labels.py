"""Short labels of keys and values."""

import pytest

from pipeline.core.config_diff import ABSENT, format_short_value, shorten_keys, unify_numbers


@pytest.mark.parametrize(
    ("keys", "names"),
    [
        (["finetune.lr0", "seed"], ["lr0", "seed"]),
        (["a.x.name", "b.x.name"], ["a.x.name", "b.x.name"]),
        (["a.y.name", "a.x.name"], ["y.name", "x.name"]),
        (["+extra.lr0", "lr0"], ["extra.lr0", "lr0"]),
    ],
)
def test_a_key_keeps_as_many_words_as_tell_it_apart(keys, names):
    assert shorten_keys(keys) == names


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.00123456, "0.001235"),
        (None, "null"),
        (True, "true"),
        ("", "''"),
        (ABSENT, "(none)"),
        ("x" * 30, f"{'x' * 23}…"),
    ],
)
def test_a_value_is_short(value, text):
    assert format_short_value(value) == text


def test_whole_numbers_are_integers_for_people():
    assert repr(unify_numbers({"a": [1.0, 2.5, True, "1.0"], "b": {"c": 3.0}})) == repr(
        {"a": [1, 2.5, True, "1.0"], "b": {"c": 3}}
    )
    assert repr(unify_numbers(1e300)) == "1e+300"
