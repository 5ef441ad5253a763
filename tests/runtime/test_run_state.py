"""The state of a run: its code, as the commit and a patch, and the files that restore it."""

import json
import subprocess
from pathlib import Path

import pytest

from pipeline.runtime.run_state import CHANGES_FILE, STATE_FILE, collect_run_state, write_changes


def git(folder: Path, *command: str) -> str:
    user = ["-c", "user.name=me", "-c", "user.email=me@example.org"]
    done = subprocess.run(["git", "-C", folder, *user, *command], check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project in a folder of a larger repository, with a commit."""
    folder = tmp_path / "top/vision"
    (folder / "conf").mkdir(parents=True)
    (folder / "conf/config.yaml").write_text("lr0: 1\n")
    (folder / "old.py").write_text("pass\n")
    (folder / "params.yaml").write_text("lr0: 1\n")
    (folder.parent / ".gitignore").write_text(".finetrack\nsecret.yaml\n")
    git(folder.parent, "init", "--quiet")
    git(folder.parent, "add", ".")
    git(folder.parent, "commit", "--quiet", "-m", "start")
    monkeypatch.chdir(folder)
    monkeypatch.setenv("DVC_ROOT", str(folder))
    return folder


def change(folder: Path) -> dict[str, bytes]:
    """Change tracked files, add untracked ones; return the files that a patch has to give."""
    (folder / "old.py").unlink()
    (folder / "conf/config.yaml").write_bytes(b"lr0: 2\r\n\xff")
    (folder / "conf/mine.bin").write_bytes(bytes(range(256)))
    (folder / "conf/secret.yaml").write_text("ignored by git")
    (folder / "notes.txt").write_text("untracked elsewhere")
    (folder / "params.yaml").write_text("an output of the run: no change of the code")
    return {"conf/config.yaml": b"lr0: 2\r\n\xff", "conf/mine.bin": bytes(range(256))}


def test_a_patch_gives_the_changed_files_and_leaves_the_index(project, tmp_path):
    expected, index = change(project), (project.parent / ".git/index").read_bytes()
    git(project, "config", "diff.noprefix", "true")
    write_changes(project, tmp_path / "changes.patch")
    assert (project.parent / ".git/index").read_bytes() == index
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "--quiet", str(project.parent), str(clone))
    git(clone, "apply", str(tmp_path / "changes.patch"))
    found = {path: (clone / "vision" / path).read_bytes() for path in expected}
    assert found == expected
    assert not (clone / "vision/old.py").exists()
    assert {path.name for path in (clone / "vision").rglob("*")} == {
        *("conf", "config.yaml", "mine.bin", "params.yaml")
    }
    assert (clone / "vision/params.yaml").read_text() == "lr0: 1\n"


@pytest.mark.fault(15, "a password in DVC's settings that is not committed")
def test_a_password_in_the_settings_of_dvc_is_in_no_patch(project, tmp_path):
    (project / ".dvc").mkdir()
    (project / ".dvc/config").write_text("[core]\n")
    git(project, "add", ".dvc/config")
    git(project, "commit", "--quiet", "-m", "settings")
    (project / ".dvc/config").write_text("[core]\n['remote \"store\"']\n    password = hunter2\n")
    (project / "old.py").write_text("changed\n")
    write_changes(project, tmp_path / "changes.patch")
    text = (tmp_path / "changes.patch").read_text()
    assert ("hunter2" in text, "changed" in text) == (False, True)


def test_a_clean_state_has_a_commit_and_no_patch(project):
    with collect_run_state("finetune", b"used: 1\n") as folder:
        state = json.loads((folder / STATE_FILE).read_text())
        assert (folder / "params.yaml").read_bytes() == b"used: 1\n"
        assert not (folder / CHANGES_FILE).exists()
    assert state["commit"] == git(project, "rev-parse", "HEAD")
    assert state["dirty"] is False
    assert not folder.exists()


def test_a_changed_state_has_a_patch_and_the_locks(project):
    change(project)
    (project / "reports").mkdir()
    (project / "reports/splits.json").write_text("{}")
    with collect_run_state("finetune") as folder:
        state = json.loads((folder / STATE_FILE).read_text())
        assert state["changes"]["bytes"] == (folder / CHANGES_FILE).stat().st_size
        assert (folder / "reports/splits.json").read_text() == "{}"


@pytest.mark.fault(3, "a patch too large to be logged")
def test_what_is_too_large_is_named(project, monkeypatch):
    change(project)
    (project / "dvc.lock").write_text("x" * 20)
    monkeypatch.setattr("pipeline.runtime.run_state.MAX_PATCH_BYTES", 10)
    monkeypatch.setattr("pipeline.runtime.run_state.MAX_FILE_BYTES", 10)
    with collect_run_state("evaluate") as folder:
        state = json.loads((folder / STATE_FILE).read_text())
        assert not (folder / CHANGES_FILE).exists()
        assert not (folder / "dvc.lock").exists()
    assert "no_changes" in state
    assert [name.split()[0] for name in state["left_out"]] == ["dvc.lock"]


def test_without_git_the_state_says_so(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    with collect_run_state("finetune") as folder:
        assert json.loads((folder / STATE_FILE).read_text())["commit"] is None
