"""What git says of the code a stage runs."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable
from pathlib import Path

SECONDS = 10


def state(
    folder: Path, *, besides: Iterable[Path] = (), untracked: Iterable[Path] = ()
) -> tuple[str | None, bool]:
    """Return the commit that is checked out in a folder, and whether tracked files differ from it.

    Args:
        folder: Any folder of the repository's work tree.
        besides: Files and folders, relative to `folder`, whose changes do not count.
        untracked: Folders, relative to `folder`, in which a new file counts, too.

    Without git, a repository, a commit, or an answer in time: (None, False).
    """
    commit = _ask(folder, "rev-parse", "--verify", "HEAD")
    if commit is None:
        return None, False
    without = [f":(exclude){path.as_posix()}" for path in besides]
    changes = _ask(folder, "status", "--porcelain", "--untracked-files=no", "--", ".", *without)
    places = [path.as_posix() for path in untracked]
    new = _ask(folder, "ls-files", "--others", "--exclude-standard", "--", *places) if places else ""
    return commit, changes != "" or new != ""


def _ask(folder: Path, *question: str) -> str | None:
    command = ["git", "-C", str(folder), "--no-optional-locks", *question]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.strip()
