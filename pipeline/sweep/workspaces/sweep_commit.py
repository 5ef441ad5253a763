"""Commit the project's tracked files as they are, with changes that are not committed, beside its branch.

The jobs of a sweep start from this commit, so that editing files of the project meanwhile changes no job.
What the user has staged, and the branch, stay as they are.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Final, NamedTuple

from pipeline.storage.git_commands import run_git

REFERENCES: Final = "refs/finetrack/sweeps"
"""Keeps the commits of sweeps, which no branch holds, from `git gc`."""
_AUTHOR: Final = "finetrack"


class SweepCommit(NamedTuple):
    """What the jobs of a sweep start from.

    Attributes:
        commit: Holds all tracked files as they are in the project's folder.
        baseline: The commit that is checked out, to which the experiments belong; the same as `commit`
            where nothing was changed.
    """

    commit: str
    baseline: str


def create_sweep_commit(project: Path, name: str) -> SweepCommit:
    """Commit the tracked files of the project as they are; equal files give the same commit.

    Args:
        project: Any folder of the repository.
        name: Of the sweep; the commit is kept until `delete_sweep_commit`.

    Raises:
        GitError: There is no commit yet, or a merge is not finished.
    """
    baseline = run_git(project, "rev-parse", "--verify", "HEAD^{commit}")
    top = Path(run_git(project, "rev-parse", "--show-toplevel"))
    tree = _write_tree(top)
    if tree == run_git(top, "rev-parse", f"{baseline}^{{tree}}"):
        commit = baseline
    else:
        commit = _commit_tree(top, tree, baseline)
    run_git(top, "update-ref", f"{REFERENCES}/{name}", commit)
    return SweepCommit(commit, baseline)


def delete_sweep_commit(project: Path, name: str) -> None:
    """Let git delete the commit of a sweep that has ended."""
    run_git(project, "update-ref", "-d", f"{REFERENCES}/{name}")


def _write_tree(top: Path) -> str:
    """Write the tracked files to git's object store by a copy of the index; return their tree."""
    index = top / run_git(top, "rev-parse", "--git-path", "index")
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "index"
        if index.exists():
            shutil.copy2(index, copy)
        variables = {"GIT_INDEX_FILE": str(copy)}
        run_git(top, "add", "--update", "--", ".", variables=variables)
        return run_git(top, "write-tree", variables=variables)


def _commit_tree(top: Path, tree: str, baseline: str) -> str:
    date = run_git(top, "show", "--no-patch", "--format=%cI", baseline)
    variables = {
        f"GIT_{role}_{what}": value
        for role in ("AUTHOR", "COMMITTER")
        for what, value in {"NAME": _AUTHOR, "EMAIL": f"{_AUTHOR}@localhost", "DATE": date}.items()
    }
    message = "the project's files at the start of a sweep"
    return run_git(top, "commit-tree", tree, "-p", baseline, "-m", message, variables=variables)
