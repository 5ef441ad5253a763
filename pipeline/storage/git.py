"""Read the commit of the code, and whether the code differs from it."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable
from pathlib import Path

GIT_TIMEOUT_SECONDS = 10


def read_git_state(
    folder: Path, *, exclude: Iterable[Path] = (), untracked_in: Iterable[Path] = ()
) -> tuple[str | None, bool]:
    """Return the commit that is checked out, and whether files differ from it: (commit, dirty).

    Args:
        folder: Any folder of the work tree.
        exclude: Files and folders, relative to `folder`, whose changes do not count.
        untracked_in: Folders, relative to `folder`, in which untracked files count as changes.

    Returns (None, False) without git, a repository, or a commit, or if git does not answer in time.
    """
    commit = _run_git(folder, "rev-parse", "--verify", "HEAD")
    if commit is None:
        return None, False
    without = [f":(exclude){path.as_posix()}" for path in exclude]
    changes = _run_git(folder, "status", "--porcelain", "--untracked-files=no", "--", ".", *without)
    places = [path.as_posix() for path in untracked_in]
    new = _run_git(folder, "ls-files", "--others", "--exclude-standard", "--", *places) if places else ""
    return commit, changes != "" or new != ""


def _run_git(folder: Path, *question: str) -> str | None:
    command = ["git", "-C", str(folder), "--no-optional-locks", *question]
    try:
        answer = subprocess.run(
            command, capture_output=True, text=True, timeout=GIT_TIMEOUT_SECONDS, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.strip()
