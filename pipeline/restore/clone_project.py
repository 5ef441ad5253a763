"""Clone the project at the commit of an iteration, with the changes that were beside it.

The clone has its own copies of git's objects (hard links where the disk allows them): git works in it where
the project is moved or cleaned up. A worktree would break with the project. DVC's cache and the runs stay
those of the project.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from pipeline.core.errors import UserError
from pipeline.storage.git_commands import GitError, copy_git_settings, run_git

COMMIT_HASH: Final = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
"""SHA-1, or SHA-256 in repositories of that format."""


def clone_project(project: Path, clone: Path, commit: str) -> Path:
    """Clone the repository of the project at a commit; return the project's folder in the clone.

    Args:
        project: The project's folder.
        clone: An empty folder.
        commit: In the project's repository, or on one of its remotes, from which it is fetched.

    Raises:
        UserError: It is no hash of a commit, or the commit is in none of them.
    """
    if not COMMIT_HASH.fullmatch(commit):  # git would take --upload-pack=... for an option, and run it
        raise UserError(f"{commit[:40]!r} is no hash of a commit: the record of the run is damaged")
    top = Path(run_git(project, "rev-parse", "--show-toplevel"))
    prefix = run_git(project, "rev-parse", "--show-prefix")
    run_git(clone.parent, "clone", "--quiet", "--no-checkout", str(top), str(clone))
    copy_git_settings(top, clone)
    remotes = _make_addresses_absolute(top, clone)
    if not _has_commit(clone, commit):
        _fetch_commit(clone, commit, remotes)
    run_git(clone, "-c", "core.hooksPath=/dev/null", "checkout", "--quiet", "--detach", commit)
    return clone / prefix


def apply_changes(clone: Path, patch: Path) -> None:
    """Apply what differed from the commit.

    Args:
        clone: Its top folder.
        patch: See `write_changes`.

    Raises:
        UserError: The patch does not fit the commit.
    """
    try:
        run_git(clone, "apply", "--whitespace=nowarn", str(patch.resolve()))
    except GitError as error:
        raise UserError(f"the changes that were logged with the run do not fit its commit: {error}") from None


def _has_commit(clone: Path, commit: str) -> bool:
    try:
        run_git(clone, "cat-file", "-e", f"{commit}^{{commit}}")
    except GitError:
        return False
    return True


def _make_addresses_absolute(top: Path, clone: Path) -> list[str]:
    """Let remotes that are relative paths name the same folders as in the project; return all names."""
    names = run_git(clone, "remote").split()
    for name in names:
        address = run_git(clone, "config", f"remote.{name}.url")
        if ":" not in address and not Path(address).is_absolute() and (top / address).exists():
            run_git(clone, "config", f"remote.{name}.url", str((top / address).resolve()))
    return names


def _fetch_commit(clone: Path, commit: str, remotes: list[str]) -> None:
    """Fetch a commit by its hash, or all branches and experiments where a server refuses that."""
    everything = ("+refs/heads/*:refs/finetrack/heads/*", "+refs/exps/*:refs/finetrack/exps/*")
    reasons = []
    for name in remotes:
        for wanted in ((commit,), everything):
            try:
                run_git(clone, "fetch", "--quiet", "--no-tags", "--no-write-fetch-head", name, *wanted)
            except GitError as error:
                reasons.append(f"{name}: {error}")
                continue
            if _has_commit(clone, commit):
                return
    raise UserError(
        f"commit {commit[:10]} is neither in this repository nor on its remotes: push it where it is "
        "(`git push`), then run again",
        *reasons[-1:],
    )
