"""Run git in the project and in clones of it; an error of git becomes one sentence."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from pipeline.core.errors import UserError
from pipeline.storage.git import build_git_environment

_COPIED_SECTIONS: Final = ("user.", "filter.", "remote.", "core.autocrlf", "core.eol", "core.symlinks")
"""Of the project's git configuration: who commits, and how files are checked out."""

_SAID_OF_ANY_REMOTE: Final = frozenset(
    {
        "fatal: Could not read from remote repository.",
        "Please make sure you have the correct access rights",
        "and the repository exists.",
    }
)


class GitError(UserError):
    """Git refused a command."""


def run_git(folder: Path, *arguments: str, variables: Mapping[str, str] | None = None, text: str = "") -> str:
    """Run git and return what it printed, without the spaces around.

    Args:
        folder: Where it runs.
        *arguments: Of git.
        variables: Further environment variables.
        text: Its standard input.

    Raises:
        GitError: It is not installed, or ended with an error.
    """
    settings = ("-c", "gc.auto=0", "-c", "maintenance.auto=false")
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *settings, *arguments],
            input=text,
            capture_output=True,
            text=True,
            errors="surrogateescape",
            check=False,
            env={**build_git_environment(os.environ), "GIT_TERMINAL_PROMPT": "0", **(variables or {})},
        )
    except OSError as error:
        raise GitError(f"git cannot be run: {error}") from None
    if done.returncode:
        raise GitError(f"`git {arguments[0]}` failed in {folder}: {_find_reason(done.stderr)}")
    return done.stdout.strip()


def copy_git_settings(top: Path, clone: Path) -> None:
    """Give a clone the settings of the project's repository that are not in git: who commits, and how.

    Args:
        top: The top folder of the project's repository.
        clone: The top folder of the clone.
    """
    listed = run_git(top, "config", "--local", "--null", "--list")
    for key, _, value in (entry.partition("\n") for entry in listed.split("\0") if entry):
        if key.startswith(_COPIED_SECTIONS):
            run_git(clone, "config", key, value)
    info = top / run_git(top, "rev-parse", "--git-path", "info")
    for name in ("exclude", "attributes"):
        if (info / name).exists():
            shutil.copy2(info / name, clone / ".git/info" / name)


def _find_reason(errors: str) -> str:
    """Return the line that tells most; of a remote, the last lines are the same whatever happened."""
    written = [line.strip() for line in errors.splitlines() if line.strip()]
    lines = [line for line in written if line not in _SAID_OF_ANY_REMOTE] or written
    named = [line for line in lines if line.startswith(("fatal: ", "error: "))]
    return (named or lines or ["it gave no reason"])[-1]
