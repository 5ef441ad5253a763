"""The state of the code in git."""

import os
import subprocess
from pathlib import Path

import pytest

from pipeline.core.errors import UserError
from pipeline.runtime.environment import set_environment
from pipeline.storage.git import (
    list_untracked_files,
    read_git_state,
    require_full_history,
    require_owned_repository,
)
from pipeline.storage.git_commands import run_git
from pipeline.storage.git_history import find_commit


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
    user = ["-c", "user.name=me", "-c", "user.email=me@example.org"]
    answer = subprocess.run(
        ["git", "-C", folder, *user, *command], check=True, capture_output=True, text=True
    )
    return answer.stdout.strip()


def test_repository_without_a_commit_has_no_state(repository):
    assert read_git_state(repository) == (None, False)


def test_changes_of_tracked_files_are_dirty_and_untracked_files_are_not(repository):
    run(repository, "commit", "--quiet", "-m", "start")
    commit = run(repository, "rev-parse", "HEAD")
    (repository / "new.txt").write_text("1")
    assert read_git_state(repository) == (commit, False)
    (repository / "code.py").write_text("2")
    assert read_git_state(repository) == (commit, True)
    assert read_git_state(repository, exclude=[Path("code.py")]) == (commit, False)


def test_untracked_files_are_listed_with_their_own_names(repository):
    (repository / ".gitignore").write_text("*.pyc\n")
    run(repository, "add", ".")
    run(repository, "commit", "--quiet", "-m", "start")
    (repository / "conf").mkdir()
    for name in ("conf/old.pyc", "elsewhere.yaml", 'conf/ä "b".yaml'):
        (repository / name).write_text("1")
    assert list_untracked_files(repository, [Path("conf"), Path("pipeline")]) == ['conf/ä "b".yaml']


@pytest.mark.fault(3, "the name of a file is no UTF-8")
def test_a_file_whose_name_is_no_text_is_listed(repository):
    (repository / "conf").mkdir()
    Path(os.fsdecode(os.fsencode(repository) + b"/conf/\xff.yaml")).write_text("1")
    assert list_untracked_files(repository, [Path("conf")]) == ["conf/\ufffd.yaml"]


def test_without_a_repository_there_is_no_list_of_files(tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert list_untracked_files(tmp_path, [Path()]) is None


def test_missing_repository_or_git_is_no_error(tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert read_git_state(tmp_path) == (None, False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert read_git_state(tmp_path) == (None, False)


@pytest.mark.fault(3, "a repository of another owner")
def test_repository_of_another_owner_is_refused_with_gits_advice(repository, monkeypatch):
    if os.geteuid() != 0:
        pytest.skip("only root can give a folder to another user")
    run(repository, "commit", "--quiet", "-m", "start")
    for name in ("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM"):
        monkeypatch.setenv(name, os.devnull)
    require_owned_repository(repository)
    os.chown(repository, 12345, 12345)
    os.chown(repository / ".git", 12345, 12345)
    with pytest.raises(UserError, match=r"id 12345.*git config --global --add safe.directory"):
        require_owned_repository(repository)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(repository / "trust"))
    (repository / "trust").write_text(f"[safe]\n directory = {repository}\n")
    require_owned_repository(repository)


def test_folder_without_repository_is_not_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    require_owned_repository(tmp_path)
    require_full_history(tmp_path)


@pytest.mark.fault(3, "a shallow clone")
def test_shallow_clone_is_refused(repository, tmp_path_factory):
    for number in range(2):
        run(repository, "commit", "--quiet", "--allow-empty", "-m", str(number))
    require_full_history(repository)
    clone = tmp_path_factory.mktemp("shallow")
    run(clone, "clone", "--quiet", "--depth", "1", repository.as_uri(), ".")
    with pytest.raises(UserError, match="git fetch --unshallow"):
        require_full_history(clone)


@pytest.mark.fault(12, "a hook of git starts a command: GIT_DIR names another repository, or none")
@pytest.mark.parametrize("is_absent", [False, True])
def test_readers_ask_the_repository_of_their_folder(repository, tmp_path_factory, monkeypatch, is_absent):
    run(repository, "commit", "--quiet", "-m", "start")
    commit = run(repository, "rev-parse", "HEAD")
    other = tmp_path_factory.mktemp("hook")
    run(other, "init", "--quiet")
    run(other, "commit", "--quiet", "--allow-empty", "-m", "another")
    monkeypatch.setenv("GIT_DIR", str(other / ("absent" if is_absent else ".git")))
    monkeypatch.setenv("GIT_INDEX_FILE", str(other / "index"))
    monkeypatch.setenv("GIT_OBJECT_DIRECTORY", str(other / "objects"))
    assert read_git_state(repository) == (commit, False)
    assert find_commit(repository, "HEAD") == commit
    assert run_git(repository, "rev-parse", "HEAD") == commit
    set_environment()
    assert not {"GIT_DIR", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY"} & os.environ.keys()
