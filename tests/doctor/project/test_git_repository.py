"""Git: repository, owner, history, identity, work that was not finished."""

import os
import shutil

import pytest

from pipeline.doctor.examined_project import ExaminedProject
from pipeline.doctor.project.git_repository import check_git_repository


def test_a_commit_is_ok_and_changes_of_the_code_are_told(repository, git):
    [found] = check_git_repository(repository)
    assert (found.state, git(repository, "rev-parse", "HEAD")[:10] in found.seen) == ("ok", True)
    (repository.root / "code.py").write_text("2")
    [found] = check_git_repository(repository)
    assert (found.state, "differ" in found.seen) == ("ok", True)


@pytest.mark.fault(3, "no git, no repository, no commit")
def test_no_git_no_repository_no_commit_are_faults(project, git, states, monkeypatch):
    assert states(check_git_repository(project)) == ["fault"]
    git(project, "init", "--quiet")
    assert states(check_git_repository(project)) == ["fault"]
    monkeypatch.setenv("PATH", str(project.root))
    assert states(check_git_repository(project)) == ["fault"]


@pytest.mark.fault(3, "a damaged repository")
def test_a_damaged_repository_is_a_fault(repository, states):
    shutil.rmtree(repository.root / ".git/objects")
    assert states(check_git_repository(repository)) == ["fault"]


@pytest.mark.fault(3, "a repository of another owner")
def test_a_repository_of_another_owner_is_a_fault(repository):
    if os.geteuid() != 0:
        pytest.skip("only root can give a folder to another user")
    os.chown(repository.root, 12345, 12345)
    os.chown(repository.root / ".git", 12345, 12345)
    [found] = check_git_repository(repository)
    assert (found.state, "safe.directory" in found.seen) == ("fault", True)


@pytest.mark.fault(3, "a shallow clone")
def test_a_shallow_clone_is_a_warning(repository, git, tmp_path):
    git(repository, "commit", "-q", "--allow-empty", "-m", "second")
    git(repository, "clone", "-q", "--depth", "1", f"file://{repository.root}", str(tmp_path / "clone"))
    [found] = check_git_repository(ExaminedProject(tmp_path / "clone"))
    assert (found.state, "--unshallow" in found.seen) == ("warning", True)


def test_a_git_that_does_not_know_who_commits_is_a_warning(repository, states, monkeypatch):
    for name in ("NAME", "EMAIL"):
        monkeypatch.delenv(f"GIT_COMMITTER_{name}")
    assert states(check_git_repository(repository)) == ["warning"]


def test_a_merge_that_is_not_finished_is_a_warning(repository, git):
    git(repository, "checkout", "-q", "-b", "other")
    git(repository, "commit", "-q", "--allow-empty", "-m", "other")
    git(repository, "checkout", "-q", "-")
    git(repository, "merge", "-q", "--no-ff", "--no-commit", "other")
    [found] = check_git_repository(repository)
    assert (found.state, "merge --abort" in found.advice) == ("warning", True)


@pytest.mark.fault(13, "a killed dvc exp run left HEAD on no branch")
def test_a_head_that_a_killed_experiment_left_is_a_warning(repository, git, states):
    branch = git(repository, "symbolic-ref", "--short", "HEAD")
    git(repository, "checkout", "-q", "--detach")
    assert states(check_git_repository(repository)) == ["ok"]  # the user did it
    git(repository, "update-ref", "refs/exps/exec/EXEC_HEAD", "HEAD")
    [found] = check_git_repository(repository)
    assert (found.state, f"git switch {branch}" in found.advice) == ("warning", True)
