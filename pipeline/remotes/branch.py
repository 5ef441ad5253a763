"""Push the branch that is checked out, and find the commits of it that a git remote lacks."""

from __future__ import annotations

from pathlib import Path
from typing import Final, NamedTuple

from pipeline.core.errors import UserError
from pipeline.remotes.experiment_refs import ask_git_remote
from pipeline.storage.dvc_remotes.tracked_objects import name_commit_owner
from pipeline.storage.git_commands import GitError, run_git

_TRACKED: Final = ("dvc.lock", ":(glob)**/*.dvc")
"""Files that name data and weights."""


class PushableBranch(NamedTuple):
    """A branch as it was when a push began.

    Attributes:
        name: Without refs/heads/.
        commit: Its last one.
    """

    name: str
    commit: str


def read_branch(project: Path) -> str | None:
    """Return the branch that is checked out; None if HEAD is on none."""
    try:
        return run_git(project, "symbolic-ref", "--quiet", "--short", "HEAD")
    except GitError:
        return None


def read_pushable_branch(project: Path) -> PushableBranch:
    """Return the branch that is checked out.

    Raises:
        UserError: HEAD is on no branch, or there is no commit.
    """
    branch = read_branch(project)
    if branch is None:
        raise UserError(
            "HEAD is on no branch, so that --branch has nothing to push: `git switch -c NAME` first"
        )
    return PushableBranch(branch, run_git(project, "rev-parse", "--verify", "HEAD"))


def is_branch_pushed(project: Path, remote: str, branch: str) -> bool:
    """Return whether a git remote's branch has the commit that is checked out.

    Raises:
        UserError: The remote cannot be reached.
    """
    listed = ask_git_remote(project, remote, "ls-remote", remote, f"refs/heads/{branch}")
    commit = listed.split()[0] if listed else None
    if commit is None:
        return False
    try:
        run_git(project, "merge-base", "--is-ancestor", "HEAD", commit)
    except GitError:  # also where the remote's commit is not known here
        return False
    return True


def list_unpushed_owners(project: Path, remote: str, commit: str) -> dict[str, str]:
    """List the commits up to one that no branch of a git remote has, and that change what DVC tracks.

    Args:
        project: The project's folder.
        remote: The name of a git remote.
        commit: The last one.

    Returns:
        By commit, the owner of its data.

    Raises:
        UserError: The remote cannot be reached.
    """
    listed = ask_git_remote(project, remote, "ls-remote", "--heads", remote).splitlines()
    there = [line.split()[0] for line in listed]
    options = ("--full-history", "--ignore-missing")  # some commits of the remote are not known here
    words = (*options, commit, "--not", f"--remotes={remote}", *there)
    found = run_git(project, "rev-list", *words, "--", *_TRACKED).split()
    return {each: name_commit_owner(each) for each in found}


def push_branch(project: Path, remote: str, branch: PushableBranch) -> None:
    """Push a branch up to the commit that it had when the push began.

    Raises:
        UserError: The remote refuses it.
    """
    words = f"{branch.commit}:refs/heads/{branch.name}"
    ask_git_remote(project, remote, "push", "--quiet", remote, words)
