"""`~` at the start of a value, which shells leave as it is behind KEY=, becomes the home folder."""

from __future__ import annotations

import pytest

from pipeline.compose.override_keys import parse_override_value
from pipeline.config.override_text import expand_home_in_override
from pipeline.core.errors import UserError
from pipeline.sweep.space.parse_axes import open_override_parser


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    folder = tmp_path / "my home (1)"
    monkeypatch.setenv("HOME", str(folder))
    return folder


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("~", "{home}"),
        ("~/a", "{home}/a"),
        ("~/a b/c=d", "{home}/a b/c=d"),
        ("~/é:1", "{home}/é:1"),
        (" ~/a ", "{home}/a"),
        ("[~/a,/b, ~/c]", ["{home}/a", "/b", "{home}/c"]),
        ("{a: ~/b}", {"a": "{home}/b"}),
        ("~nobody-of-this-name/a", "~nobody-of-this-name/a"),
        ("['~/a',\"x,~/b\"]", ["~/a", "x,~/b"]),
        ("/a/~/b", None),
        ("a~b", None),
        ("1e-3", 0.001),
    ],
)
def test_an_unquoted_home_folder_becomes_a_text_that_hydra_reads(home, value, expected):
    word = expand_home_in_override(f"data.source={value}")
    if expected is None:
        assert word == f"data.source={value}"
        return

    def fill(item):
        if isinstance(item, str):
            return item.replace("{home}", str(home))
        if isinstance(item, dict):
            return {key: fill(each) for key, each in item.items()}
        return [fill(each) for each in item] if isinstance(item, list) else item

    assert parse_override_value(word) == fill(expected)


def test_several_values_of_an_axis_are_expanded_each(home):
    with open_override_parser() as parse:
        [axis] = parse([expand_home_in_override("data.source=~/a,~/b")])
        assert [value.text for value in axis.sweep_iterator()] == [f"{home}/a", f"{home}/b"]


@pytest.mark.parametrize("word", ["~tracking.tags.line", "~/a", "+sweep=quick", "seed=1,2", "~tags.a=b"])
def test_other_words_stay(word):
    assert expand_home_in_override(word) == word


def test_hydra_itself_refuses_an_unquoted_home_folder():
    with pytest.raises(UserError):
        parse_override_value("data.source=~/a")
