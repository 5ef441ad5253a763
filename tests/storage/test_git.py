import subprocess
from pathlib import Path

import pytest

from pipeline.storage import git


@pytest.fixture
def repository(tmp_path, monkeypatch):
    for name in ("GIT_DIR", "GIT_WORK_TREE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    run(tmp_path, "init", "--quiet")
    (tmp_path / "code.py").write_text("1")
    run(tmp_path, "add", ".")
    return tmp_path


def run(folder, *command: str):
    who = ["-c", "user.name=me", "-c", "user.email=me@example.org"]
    answer = subprocess.run(["git", "-C", folder, *who, *command], check=True, capture_output=True, text=True)
    return answer.stdout.strip()


def test_a_repository_without_a_commit_has_no_state(repository):
    assert git.state(repository) == (None, False)


def test_tracked_changes_make_it_dirty_and_new_files_do_not(repository):
    run(repository, "commit", "--quiet", "-m", "start")
    commit = run(repository, "rev-parse", "HEAD")
    (repository / "new.txt").write_text("1")
    assert git.state(repository) == (commit, False)
    (repository / "code.py").write_text("2")
    assert git.state(repository) == (commit, True)
    assert git.state(repository, besides=[Path("code.py")]) == (commit, False)


def test_a_new_file_makes_it_dirty_where_it_decides_about_a_run(repository):
    (repository / ".gitignore").write_text("*.pyc\n")
    run(repository, "add", ".")
    run(repository, "commit", "--quiet", "-m", "start")
    (repository / "conf").mkdir()
    (repository / "conf/old.pyc").write_text("1")
    assert git.state(repository, untracked=[Path("conf")])[1] is False
    (repository / "conf/mine.yaml").write_text("1")
    assert git.state(repository, untracked=[Path("conf")])[1] is True


def test_no_repository_and_no_git_is_no_error(tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert git.state(tmp_path) == (None, False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert git.state(tmp_path) == (None, False)
