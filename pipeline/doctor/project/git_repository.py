"""Check git: the repository, its owner and history, who commits, and work that was not finished."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pipeline.core.errors import UserError
from pipeline.doctor.check_finding import CheckFinding
from pipeline.doctor.leftovers.git_locks import find_writers
from pipeline.runtime.code_state import read_code_state
from pipeline.storage.git import require_full_history, require_owned_repository
from pipeline.storage.git_commands import GitError, run_git

if TYPE_CHECKING:
    from pipeline.doctor.examined_project import ExaminedProject

UNFINISHED: Final = {
    "MERGE_HEAD": "merge",
    "rebase-merge": "rebase",
    "rebase-apply": "rebase",
    "CHERRY_PICK_HEAD": "cherry-pick",
    "REVERT_HEAD": "revert",
}
"""Files and folders in .git that exist while git waits for the user to go on."""
_INIT: Final = "run `git init && git add -A && git commit -m start`: DVC and the records of runs need git"


def check_git_repository(project: ExaminedProject) -> Iterator[CheckFinding]:
    """Check the repository of the project."""
    root = project.root
    if shutil.which("git") is None:
        yield CheckFinding(
            "fault", "git is not installed", "install git: DVC and the records of runs need it"
        )
        return
    try:
        require_owned_repository(root)
    except UserError as error:
        yield CheckFinding("fault", str(error))
        return
    try:
        folder = root / run_git(root, "rev-parse", "--git-dir")
    except GitError:
        yield CheckFinding("fault", f"{root} is no git repository", _INIT)
        return
    yield from _check_contents(project, folder)


def _check_contents(project: ExaminedProject, folder: Path) -> Iterator[CheckFinding]:
    root = project.root
    code = read_code_state(root)
    if code.commit is None:
        reason = _find_reason(root)
        yield CheckFinding("fault", f"git names no commit: {reason}", "commit, or repair: `git fsck`")
        return
    problems = [*_check_history(root), *_check_identity(root), *_check_unfinished(folder)]
    problems += _check_head(project, folder)
    yield from problems
    if not problems:
        differ = "code and configuration differ from it"
        state = differ if code.is_dirty else "code and configuration are as there"
        yield CheckFinding("ok", f"commit {code.commit[:10]}; {state}")


def _find_reason(root: Path) -> str:
    try:
        run_git(root, "rev-parse", "--verify", "HEAD^{commit}")
    except GitError as error:
        return str(error)
    return "it gave no answer in time"


def _check_history(root: Path) -> Iterator[CheckFinding]:
    try:
        require_full_history(root)
    except UserError as error:
        yield CheckFinding("warning", str(error))


def _check_identity(root: Path) -> Iterator[CheckFinding]:
    """Check that git knows who commits, as `git commit` does: by its settings, or by variables."""
    with suppress(GitError):
        run_git(root, "-c", "user.useConfigOnly=true", "var", "GIT_COMMITTER_IDENT")
        return
    yield CheckFinding(
        "warning",
        "git does not know who you are, and `dvc exp run` commits",
        "run `git config user.name NAME` and `git config user.email ADDRESS`",
    )


def _check_head(project: ExaminedProject, folder: Path) -> Iterator[CheckFinding]:
    """Check that no killed `dvc exp run` left HEAD on no branch: DVC detaches it, and notes that it does."""
    if (folder / "HEAD").read_text("utf-8").startswith("ref:"):
        return
    with suppress(ImportError):  # of psutil
        if find_writers(project):
            return
    if run_git(project.root, "for-each-ref", "refs/exps/exec"):
        branch = "BRANCH"
        with suppress(GitError):
            branch = run_git(project.root, "rev-parse", "--abbrev-ref", "@{-1}") or branch
        seen = "a `dvc exp run` was killed, and left HEAD on no branch: commits that you make are on none"
        advice = f"run `git switch {branch}`; after commits of yours, `git branch NAME` before it keeps them"
        yield CheckFinding("warning", seen, advice)


def _check_unfinished(folder: Path) -> Iterator[CheckFinding]:
    for name, what in UNFINISHED.items():
        if (folder / name).exists():
            advice = f"finish it before a sweep or an experiment, or end it with `git {what} --abort`"
            yield CheckFinding("warning", f"a {what} is not finished", advice)
            return
