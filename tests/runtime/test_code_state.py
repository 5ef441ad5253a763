"""The code of a run in git: what makes it dirty, and what does not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipeline.runtime.code_state import (
    MAX_LISTED,
    UNTRACKED_TAG,
    CodeState,
    build_code_tags,
    is_written_by_sweep,
    parse_untracked,
    read_code_state,
)
from pipeline.runtime.run_state import CHANGES_FILE, STATE_FILE, collect_run_state
from pipeline.storage.git_commands import run_git
from pipeline.sweep.report.best_config import build_best_config, write_best_config

ROOT = Path(__file__).parents[2]


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project with conf/ in git."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    for role in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{role}_NAME", "me")
        monkeypatch.setenv(f"GIT_{role}_EMAIL", "me@example.org")
    for path in (ROOT / "conf").rglob("*.yaml"):
        copy = tmp_path / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(path.read_text("utf-8"), "utf-8")
    Path(".gitignore").write_text(".finetrack\n")
    run_git(tmp_path, "init", "--quiet")
    run_git(tmp_path, "add", ".")
    run_git(tmp_path, "commit", "--quiet", "-m", "start")
    return tmp_path


def write_winner() -> None:
    write_best_config(build_best_config("rates", ["finetune.lr0=0.003"], notes=[]))


def test_the_winner_of_a_sweep_makes_no_later_run_dirty(project):
    write_winner()
    assert run_git(project, "status", "--porcelain").startswith("??")
    assert read_code_state(project) == CodeState(run_git(project, "rev-parse", "HEAD"), False)
    with collect_run_state("finetune") as folder:
        assert json.loads((folder / STATE_FILE).read_text())["dirty"] is False
        assert not (folder / CHANGES_FILE).exists()


def test_other_untracked_files_make_a_run_dirty_and_are_named(project):
    write_winner()
    for name in ("conf/experiment/mine.yaml", "pipeline/new.py", "notes.txt"):
        (project / name).parent.mkdir(exist_ok=True)
        (project / name).write_text("seed: 1\n")
    found = read_code_state(project)
    assert found.is_dirty
    assert found.untracked == ("conf/experiment/mine.yaml", "pipeline/new.py")


def test_a_tracked_file_of_a_sweep_that_is_edited_makes_a_run_dirty(project):
    write_winner()
    run_git(project, "add", "conf")
    run_git(project, "commit", "--quiet", "-m", "winner")
    path = project / "conf/experiment/rates.yaml"
    path.write_text(path.read_text() + "seed: 4\n")
    assert read_code_state(project)[1:] == (True, ())


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("experiment/a.yaml", "# @package _global_\n# Written by the sweep a.\nseed: 1\n", True),
        ("experiment/a.yaml", "seed: 1\n# @package _global_\n\n# Written by the sweep a.\n", False),
        ("experiment/a.py", "# Written by the sweep a.\n", False),
        ("data/a.yaml", "# @package _global_\n# Written by the sweep a.\n", False),
        ("experiment/absent.yaml", None, False),
    ],
)
def test_a_file_of_a_sweep_is_known_by_its_place_and_its_mark(tmp_path, name, text, expected):
    path = tmp_path / name
    path.parent.mkdir()
    if text is not None:
        path.write_text(text)
    assert is_written_by_sweep(path) is expected


def test_no_repository_is_not_dirty(tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    state = read_code_state(tmp_path)
    assert (state.commit, state.is_dirty) == (None, False)
    assert set(build_code_tags(state).values()) == {None}


def test_many_untracked_files_are_listed_in_part():
    names = tuple(f"conf/{number}.yaml" for number in range(MAX_LISTED + 5))
    tags = build_code_tags(CodeState("c", False, names))
    assert parse_untracked({UNTRACKED_TAG: json.dumps(tags[UNTRACKED_TAG])}) == [*names[:MAX_LISTED]]
