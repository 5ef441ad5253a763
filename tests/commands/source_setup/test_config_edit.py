"""Values in conf/ are changed on their line: comments, order and line ends stay."""

from __future__ import annotations

import pytest
import yaml

from pipeline.commands.source_setup.config_edit import (
    ConfigKey,
    apply_changes,
    forget_changes,
    plan_change,
    recall_changes,
    remember_changes,
    revert_changes,
)
from pipeline.core.errors import UserError

VALUES = [
    0.5,
    1e-05,
    -2.0,
    "/plain",
    "with blank # no comment",
    'it\'s "so"',
    "back\\slash",
    "caf\u00e9 \u00a0\u2028",
    "null",
    "~",
    ["a", "b, c] #d"],
]


def write(tmp_path, text):
    file = tmp_path / "some.yaml"
    file.write_bytes(text.encode())
    return ConfigKey(file, "source")


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize(
    "old", ["???", "null", "", "'a # b'", '"a \\" # b"', "plain/path", '["a#", "b"]', "[a, b]"]
)
def test_a_value_is_replaced_and_restored(tmp_path, old, value):
    before = f"# top\r\nfirst: 1\r\nsource: {old}   # kept\r\nlast: [x]\r\n"
    key = write(tmp_path, before)
    change = plan_change(key, value)
    apply_changes([change])
    text = key.file.read_bytes().decode()
    assert yaml.safe_load(text) == {"first": 1, "source": value, "last": ["x"]}
    assert [line.strip() for line in text.split("\r\n")][::3] == ["# top", "last: [x]"]
    assert " # kept\r\n" in text
    revert_changes([change])
    assert key.file.read_bytes().decode() == before


def test_an_item_of_the_defaults_list_is_replaced(tmp_path):
    text = "defaults:\n  - data: demo  # drawn\n  - model: small\n  - _self_\n"
    key = write(tmp_path, text)._replace(name="data", in_defaults=True)
    apply_changes([plan_change(key, "auto")])
    assert key.file.read_text() == text.replace("demo", "auto")


@pytest.mark.parametrize(
    "text",
    [
        "other: 1\n",
        "source: a\nnested:\n  source: b\nsource: c\n",
        "source:\n  - a\n  - b\n",
        "source: |\n  a\n",
        "{source: a}\n",
        "text: |\n  x\nnested: {source: a}\n",
    ],
)
def test_a_file_without_one_line_for_the_value_is_left_alone(tmp_path, text):
    key = write(tmp_path, text)
    with pytest.raises(UserError, match="by hand"):
        plan_change(key, "new")
    assert key.file.read_text() == text


def test_a_line_that_was_changed_since_is_not_overwritten(tmp_path):
    key = write(tmp_path, "source: a\n")
    change = plan_change(key, "b")
    apply_changes([change])
    key.file.write_text("source: c\n")
    with pytest.raises(UserError, match="was changed since"):
        revert_changes([change])
    assert key.file.read_text() == "source: c\n"


def test_changes_are_undone_from_the_last_to_the_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert recall_changes() == []
    key = write(tmp_path, "source: a\n")
    for value in "bc":
        change = plan_change(key, value)
        apply_changes([change])
        remember_changes([change])
    for value in "ba":
        revert_changes(recall_changes())
        forget_changes()
        assert yaml.safe_load(key.file.read_text()) == {"source": value}
    assert recall_changes() == []
