"""Locks of git that a killed git left."""

import os
import subprocess
import time

import pytest

from pipeline.core.errors import UserError
from pipeline.doctor.examined_project import ExaminedProject
from pipeline.doctor.leftovers.git_locks import check_git_locks
from pipeline.doctor.leftovers.lock_files import check_lock_files


def plant(project, *names: str, age=120):
    for name in names:
        path = project.root / ".git" / name
        path.touch()
        os.utime(path, (time.time() - age,) * 2)


@pytest.mark.fault(13, "stale locks of a killed git")
def test_old_locks_are_a_fault_and_are_deleted(repository, git):
    plant(repository, "index.lock", "refs/heads/main.lock")
    with pytest.raises(subprocess.CalledProcessError):
        git(repository, "add", ".")
    [found] = check_lock_files(repository)
    assert found.state == "fault"
    assert "2 locks" in found.repair()
    git(repository, "add", ".")
    assert [finding.state for finding in check_lock_files(repository)] == ["ok"]


def test_a_new_lock_may_be_of_a_git_that_works(repository):
    plant(repository, "index.lock", age=5)
    assert [*check_git_locks(repository)] == []


def test_a_lock_stays_while_a_git_of_the_project_runs(repository):
    plant(repository, "index.lock")
    [stale] = check_git_locks(repository)
    command = ["git", "-C", str(repository.root), "cat-file", "--batch"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, cwd=repository.root) as process:
        time.sleep(0.1)
        [found] = check_git_locks(repository.examine_again())
        assert (found.state, found.repair) == ("warning", None)
        with pytest.raises(UserError, match="meanwhile"):
            stale.repair()
        process.stdin.close()
    assert (repository.root / ".git/index.lock").exists()


def test_a_lock_stays_while_a_git_runs_in_the_repository_above_the_project(repository):
    (repository.root / "detector").mkdir()
    project = ExaminedProject(repository.root / "detector")
    plant(repository, "index.lock")
    [stale] = check_git_locks(project)
    command = ["git", "-C", str(project.root), "cat-file", "--batch"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        process.stdin.write(b"HEAD\n")
        process.stdin.flush()
        process.stdout.readline()  # git is in the top folder now
        [found] = check_git_locks(project.examine_again())
        assert (found.state, found.repair) == ("warning", None)
        with pytest.raises(UserError, match="meanwhile"):
            stale.repair()
        process.stdin.close()
    assert (repository.root / ".git/index.lock").exists()


def test_without_git_there_are_no_locks(project):
    assert [finding.state for finding in check_lock_files(project)] == ["ok"]


def test_a_lock_of_another_user_is_left_to_them(repository, monkeypatch):
    """Their processes may be invisible."""
    plant(repository, "index.lock")
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    [found] = check_git_locks(repository)
    assert (found.state, found.repair) == ("fault", None)
