"""Find the DVC experiments of a sweep in git, and read files of theirs that git tracks."""

from __future__ import annotations

import re
from pathlib import Path

from pipeline.storage.git_commands import GitError, run_git


def find_experiment_commit(project: Path, name: str) -> str | None:
    """Return the commit of an experiment, of the newest where branches share the name; None without one."""
    pattern = f"refs/exps/*/*/{name}"
    found = run_git(project, "for-each-ref", "--sort=-committerdate", "--format=%(objectname)", pattern)
    return found.split()[0] if found else None


def find_experiment_of_name(project: Path, sweep: str) -> str | None:
    """Return the name of an experiment that a sweep of this name would replace; None if there is none."""
    names = run_git(project, "for-each-ref", "--format=%(refname)", "refs/exps").splitlines()
    own = re.compile(rf"{re.escape(sweep)}-(\d+|best(-\d+)?)")
    found = (name.rpartition("/")[2] for name in names if name.count("/") == 4)
    return next((name for name in found if own.fullmatch(name)), None)


def read_committed_file(project: Path, revision: str, path: Path) -> str | None:
    """Return the text of a file of the project at a revision; None if it has no such file.

    Args:
        project: The project's folder, which may be a part of its repository.
        revision: A commit.
        path: Relative to the project.
    """
    try:
        return run_git(project, "show", f"{revision}:./{path.as_posix()}")
    except GitError:
        return None


def list_untracked_files(project: Path, *folders: str) -> list[str]:
    """List untracked files: experiments miss them, since they start from what git tracks."""
    found = run_git(project, "ls-files", "--others", "--exclude-standard", "-z", "--", *folders)
    return [name for name in found.split("\0") if name]
