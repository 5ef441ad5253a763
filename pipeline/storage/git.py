"""Read the commit of the code, and whether the code differs from it; refuse repositories that git refuses.

`compose` imports this module at every `dvc repro`, so that subprocess is imported where git is asked.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final, NamedTuple

from pipeline.core.errors import UserError

GIT_TIMEOUT_SECONDS = 10
REPOSITORY_VARIABLES: Final = (
    *("GIT_DIR", "GIT_WORK_TREE", "GIT_IMPLICIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX"),
    *("GIT_COMMON_DIR", "GIT_OBJECT_DIRECTORY", "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_QUARANTINE_PATH"),
    *("GIT_GRAFT_FILE", "GIT_SHALLOW_FILE", "GIT_NAMESPACE"),
)
"""A hook of git that starts a command sets them: git would work on the hook's repository everywhere then."""


def build_git_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Return an environment in which git works on the repository of its folder, and speaks English."""
    kept = {name: value for name, value in environment.items() if name not in REPOSITORY_VARIABLES}
    return {**kept, "LC_ALL": "C"}


def require_owned_repository(folder: Path) -> None:
    """Require that git does not refuse the repository of `folder` because it belongs to another user.

    Git would name no commit then, so that runs are recorded without one, and DVC makes no experiments. Git is
    asked only where the owner differs.

    Raises:
        UserError: Git refuses it.
    """
    place = next((path for path in (folder, *folder.parents) if (path / ".git").exists()), None)
    if place is None or not hasattr(os, "geteuid"):
        return
    owners = {path.stat().st_uid for path in (place, place / ".git")}
    if owners == {os.geteuid()} or "dubious ownership" not in _ask_git(folder, "rev-parse", "HEAD").error:
        return
    raise UserError(
        f"git refuses to work in {place}, which belongs to another user (id {min(owners - {os.geteuid()})}): "
        f"run `git config --global --add safe.directory {shlex.quote(str(place))}` if you trust it"
    )


def require_full_history(folder: Path) -> None:
    """Require that the repository is no shallow clone, from which DVC records no experiment of a copy.

    Raises:
        UserError: It is one.
    """
    if _run_git(folder, "rev-parse", "--is-shallow-repository") == "true":
        raise UserError(
            f"{folder} is a shallow clone, in which DVC records no experiments of --temp, of its queue or of "
            "a sweep: run `git fetch --unshallow` first, or leave out --temp"
        )


def read_git_state(folder: Path, *, exclude: Iterable[Path] = ()) -> tuple[str | None, bool]:
    """Return the commit that is checked out, and whether tracked files differ from it: (commit, changed).

    Args:
        folder: Any folder of the work tree.
        exclude: Files and folders, relative to `folder`, whose changes do not count.

    Returns (None, False) without git, a repository, or a commit, or if git does not answer in time.
    """
    commit = _run_git(folder, "rev-parse", "--verify", "HEAD")
    if commit is None:
        return None, False
    without = [f":(exclude){path.as_posix()}" for path in exclude]
    changes = _run_git(folder, "status", "--porcelain", "--untracked-files=no", "--", ".", *without)
    return commit, changes != ""


def list_untracked_files(folder: Path, places: Iterable[Path]) -> list[str] | None:
    """List the files that git neither tracks nor ignores, relative to `folder`, with their names as they are.

    Args:
        folder: Any folder of the work tree.
        places: Files and folders, relative to `folder`.

    Returns None if git gives no answer.
    """
    names = [path.as_posix() for path in places]
    answer = _run_git(folder, "ls-files", "--others", "--exclude-standard", "-z", "--", *names)
    return None if answer is None else [name for name in answer.split("\0") if name]


def _run_git(folder: Path, *question: str) -> str | None:
    """Return git's answer; None if it has none."""
    return _ask_git(folder, *question).answer


class _GitReply(NamedTuple):
    answer: str | None
    error: str


def _ask_git(folder: Path, *question: str) -> _GitReply:
    import subprocess

    command = ["git", "-C", str(folder), "--no-optional-locks", *question]
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            encoding="utf-8",
            errors="replace",  # of the name of a file
            timeout=GIT_TIMEOUT_SECONDS,
            check=False,
            env=build_git_environment(os.environ),
        )
    except (OSError, subprocess.SubprocessError) as error:
        return _GitReply(None, str(error))
    return _GitReply(None if done.returncode else done.stdout.strip(), done.stderr)
