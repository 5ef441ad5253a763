"""The memory of divisions in its files, as compose and prepare hand it to one another."""

from __future__ import annotations

import pytest

from pipeline.compose import lockfile
from pipeline.compose.lockfile import read_lock, write_lock
from pipeline.core.errors import UserError
from pipeline.core.paths import DIVISION, EARLIER, LOCK
from pipeline.prepare import split_history
from pipeline.prepare.split_history import StoredSplit, carry_on
from pipeline.prepare.splits import history, partition
from pipeline.prepare.splits.history import parse_all, render_all
from pipeline.prepare.splits.partition import SplitImage, SplitRules
from pipeline.storage import files

DATA = {
    "format": "yolo",
    "task": "auto",
    "source": "/somewhere",
    "classes": {"keep": None, "drop": [], "rename": {}},
    "on_defect": "fix",
    "split": {"train": 0.7, "val": 0.15, "test": 0.15},
    "keep_split": False,
    "group_by": None,
    "near_duplicates": True,
    "on_leak": "refuse",
    "folds": None,
    "fold": 0,
    "seed": 0,
}


@pytest.fixture(autouse=True)
def project(tmp_path, monkeypatch):
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("DVC_ROOT", str(folder))
    return folder


def compose(source: str, data=DATA) -> StoredSplit:
    carried = carry_on(data, source, read_lock())
    if carried.content is not None:
        lockfile.write(EARLIER, carried.content)
    write_lock({"conf": "", "composed": {}, **carried.entries})
    return carried


def prepare(count: int, data=DATA) -> dict[str, str]:
    """Divide images of which all are different."""
    DIVISION.unlink(missing_ok=True)  # as DVC does, before the stage
    entries = [SplitImage(f"{n:03d}", f"{n:064x}"[::-1], None, frozenset({n % 3})) for n in range(count)]
    rules = SplitRules(**{key: data[key] for key in SplitRules._fields})
    made = partition.partition(entries, rules, split_history.read(data))
    files.write(DIVISION, history.render(made.earlier))
    return made.splits


def shared(new: dict[str, str], old: dict[str, str]) -> dict[str, str]:
    return {key: new[key] for key in old}


def test_the_memory_changes_only_with_what_is_divided():
    assert compose("one").entries["earlier"] == compose("one").entries["earlier"]
    first = prepare(20)
    lock, memory = LOCK.read_bytes(), EARLIER.read_bytes()
    for change in ({}, {"source": "/elsewhere"}, {"fold": 1}, {"on_leak": "allow"}):
        assert compose("one", DATA | change).content is None
        assert (LOCK.read_bytes(), EARLIER.read_bytes()) == (lock, memory)
    compose("two")
    assert LOCK.read_bytes() != lock
    assert shared(prepare(34), first) == first


def test_a_prepare_that_fails_forgets_nothing():
    compose("one")
    first = prepare(20)
    compose("two")
    DIVISION.unlink()
    compose("three")
    assert shared(prepare(50), first) == first


def test_another_seed_starts_afresh_and_the_way_back_goes_on():
    compose("one")
    first = prepare(20)
    other = DATA | {"seed": 1}
    assert "images are divided afresh" in compose("two", other).notes[0]
    assert shared(prepare(34, other), first) != first
    assert compose("three").notes == []
    assert shared(prepare(50), first) == first


def test_a_copy_of_the_project_by_dvc_reads_the_project_s_last_division(tmp_path, monkeypatch):
    compose("one")
    first = prepare(20)
    copy = tmp_path / "copy"
    copy.mkdir()
    monkeypatch.chdir(copy)
    compose("two")
    assert shared(prepare(34), first) == first


def test_drawn_images_have_no_memory():
    drawn = DATA | {"format": "demo", "source": None}
    entry = compose("drawn", drawn).entries["earlier"]
    prepare(20, drawn)
    assert compose("drawn", drawn | {"seed": 1}).entries["earlier"] == entry


@pytest.mark.parametrize("path", [EARLIER, DIVISION])
def test_a_damaged_memory_is_one_sentence(path):
    compose("one")
    prepare(20)
    files.write(path, "<<<<<<< HEAD\n")
    with pytest.raises(UserError, match=rf"{path} cannot be read .*restore it with `git checkout {path}`"):
        compose("two")


def test_a_memory_that_compose_did_not_see_is_refused():
    compose("one")
    prepare(20)
    compose("two")
    known = parse_all(EARLIER.read_text())
    (name,) = known
    files.write(EARLIER, render_all({name: known[name]._replace(sides={})}))
    with pytest.raises(UserError, match=r"splits\.lock\.json was changed since compose"):
        prepare(20)
