"""Split history in its files, as compose and prepare write and read it."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.compose.lockfile import read_lock, write_if_changed, write_lock
from pipeline.core.errors import UserError
from pipeline.core.paths import COMPOSE_LOCK_FILE, SPLITS_FILE, SPLITS_LOCK_FILE
from pipeline.prepare.splits.history import parse_histories, render_histories, render_history
from pipeline.prepare.splits.partition import SplitImage, SplitRules, split_dataset
from pipeline.prepare.stored_splits import StoredSplit, carry_over_splits, read_split_history
from pipeline.storage.files import write_file
from pipeline.storage.git_commands import run_git

DATA = {
    "format": "yolo",
    "task": "auto",
    "source": "/somewhere",
    "classes": {"keep": None, "drop": [], "rename": {}},
    "on_defect": "fix",
    "unlabelled": "auto",
    "crowds": "auto",
    "predictions": "ignore",
    "labels": "auto",
    "first_class": "auto",
    "sizes": "auto",
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


def compose(source: str, data=DATA, code: str = "") -> StoredSplit:
    stored = carry_over_splits(data, source, read_lock(), code=code)
    if stored.content is not None:
        write_if_changed(SPLITS_LOCK_FILE, stored.content)
    write_lock({"conf": "", "composed": {}, **stored.entries})
    return stored


def prepare(count: int, data=DATA) -> dict[str, str]:
    """Split images that are all different."""
    SPLITS_FILE.unlink(missing_ok=True)  # as DVC does, before the stage
    images = [SplitImage(f"{n:03d}", f"{n:064x}"[::-1], None, frozenset({n % 3})) for n in range(count)]
    rules = SplitRules(**{key: data[key] for key in SplitRules._fields if key in data})
    result = split_dataset(images, rules, read_split_history(data))
    write_file(SPLITS_FILE, render_history(result.history))
    return result.splits


def select_images(new: dict[str, str], old: dict[str, str]) -> dict[str, str]:
    return {key: new[key] for key in old}


def test_stored_history_changes_only_with_the_inputs_of_the_split():
    assert compose("one").entries["earlier"] == compose("one").entries["earlier"]
    first = prepare(20)
    lock, history = COMPOSE_LOCK_FILE.read_bytes(), SPLITS_LOCK_FILE.read_bytes()
    for change in ({}, {"source": "/elsewhere"}, {"fold": 1}, {"on_leak": "allow"}):
        assert compose("one", DATA | change).content is None
        assert (COMPOSE_LOCK_FILE.read_bytes(), SPLITS_LOCK_FILE.read_bytes()) == (lock, history)
    compose("two")
    assert COMPOSE_LOCK_FILE.read_bytes() != lock
    assert select_images(prepare(34), first) == first


@pytest.mark.parametrize("change", [{"unlabelled": "background"}, {"crowds": "objects"}, {"code": "new"}])
def test_images_keep_their_split_where_other_ones_are_read(change):
    """Each of these changes which images there are, and prepare runs again."""
    compose("one")
    first = prepare(20)
    code = change.pop("code", "")
    compose("one", DATA | change, code)
    assert select_images(prepare(34, DATA | change), first) == first


def test_a_prepare_that_failed_for_another_reason_loses_no_history():
    compose("one")
    first = prepare(20)
    assert compose("one").content is None  # such as after a change of data.fraction
    SPLITS_FILE.unlink()  # DVC runs the stage, which fails
    compose("two")
    assert select_images(prepare(50), first) == first


def test_failed_prepare_keeps_the_history():
    compose("one")
    first = prepare(20)
    compose("two")
    SPLITS_FILE.unlink()
    compose("three")
    assert select_images(prepare(50), first) == first


def test_other_seed_starts_a_new_history_and_the_old_one_is_kept():
    compose("one")
    first = prepare(20)
    other = DATA | {"seed": 1}
    assert "all images are split again" in compose("two", other).notes[0]
    assert select_images(prepare(34, other), first) != first
    assert compose("three").notes == []
    assert select_images(prepare(50), first) == first


def test_temporary_copy_by_dvc_reads_the_last_split_of_the_project(tmp_path, monkeypatch):
    compose("one")
    first = prepare(20)
    copy = tmp_path / "copy"
    copy.mkdir()
    monkeypatch.chdir(copy)
    compose("two")
    assert select_images(prepare(34), first) == first


def commit_files(message: str) -> None:
    author = ("-c", "user.name=a", "-c", "user.email=a@b")
    run_git(Path.cwd(), "add", str(SPLITS_FILE), str(SPLITS_LOCK_FILE), str(COMPOSE_LOCK_FILE))
    run_git(Path.cwd(), *author, "commit", "--quiet", "-m", message)


@pytest.fixture
def grown(project):
    """The splits of 100, 140 and 180 images: the last one at HEAD, the first one as the tag `e1`."""
    run_git(project, "init", "--quiet")
    made = []
    for number, count in enumerate((100, 140, 180)):
        compose(f"{count} images")
        made.append(prepare(count))
        commit_files("a split")
        run_git(project, "tag", f"e{number + 1}")
    compose("180 images")
    return made


@pytest.mark.fault(2, "the files of an earlier experiment lack test images of HEAD")
def test_test_images_of_head_stay_where_an_earlier_experiment_is_applied(project, grown):
    run_git(project, "checkout", "--quiet", "e1", "--", ".")
    (note,) = compose("180 images").notes
    assert f"{sum(map('test'.__eq__, grown[2].values())) - 15} images in test" in note
    assert prepare(180) == grown[2]
    assert compose("200 images").notes == []
    assert select_images(prepare(200), grown[2]) == grown[2]


@pytest.mark.fault(2, "a merge takes the split of one branch, and forgets test images of the other")
def test_test_images_of_both_branches_stay_in_a_merge(project, grown):
    run_git(project, "checkout", "--quiet", "-b", "other", "e1")
    compose("other")
    other = prepare(120)
    write_file(project / ".git/MERGE_HEAD", f"{run_git(project, 'rev-parse', 'e3')}\n".encode())
    compose("merged")
    merged = prepare(190)
    for splits in (grown[2], other):
        assert {merged[key] for key, split in splits.items() if split == "test"} == {"test"}


def test_the_same_commit_gives_the_same_split_in_a_clone(project, grown, tmp_path, monkeypatch):
    run_git(project, "checkout", "--quiet", "e1", "--", ".")
    compose("200 images")
    commit_files("from e1")
    here = prepare(200)
    run_git(tmp_path, "clone", "--quiet", str(project), "clone")
    monkeypatch.chdir(tmp_path / "clone")
    monkeypatch.setenv("DVC_ROOT", str(tmp_path / "clone"))
    assert compose("200 images").content is None
    assert prepare(200) == here
    assert select_images(here, grown[2]) == grown[2]


def test_drawn_images_have_no_history():
    drawn = DATA | {"format": "demo", "source": None}
    entry = compose("drawn", drawn).entries["earlier"]
    prepare(20, drawn)
    assert compose("drawn", drawn | {"seed": 1}).entries["earlier"] == entry


@pytest.mark.parametrize("path", [SPLITS_LOCK_FILE, SPLITS_FILE])
def test_damaged_history_file_is_refused(path):
    compose("one")
    prepare(20)
    write_file(path, "<<<<<<< HEAD\n")
    with pytest.raises(UserError, match=rf"{path} cannot be read .*restore it with `git checkout {path}`"):
        compose("two")


def test_history_that_changed_since_compose_is_refused():
    compose("one")
    prepare(20)
    compose("two")
    known = parse_histories(SPLITS_LOCK_FILE.read_text())
    (name,) = known
    write_file(SPLITS_LOCK_FILE, render_histories({name: known[name]._replace(sides={})}))
    with pytest.raises(UserError, match=r"splits\.lock\.json was changed since compose"):
        prepare(20)
