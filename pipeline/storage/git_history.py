"""Read DVC experiments, commits and their files from git, many at once."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from pipeline.core.errors import UserError
from pipeline.storage.git import build_git_environment

GIT_TIMEOUT_SECONDS: Final = 60
_FIELDS: Final = "%(refname)%00%(objectname)%00%(committerdate:unix)"
_EXPERIMENT_REF_SLASHES: Final = 4
"""refs/exps/AB/CDEF.../NAME; refs of DVC's own, such as refs/exps/stash, have fewer."""


class GitExperiment(NamedTuple):
    """A DVC experiment as git has it.

    Attributes:
        name: Its name.
        commit: The commit with its results.
        time: Of the commit, in seconds since 1970.
    """

    name: str
    commit: str
    time: int


def list_experiments(project: Path, name: str | None = None) -> list[GitExperiment]:
    """List the DVC experiments of the repository, the newest first; none without git.

    Args:
        project: A folder of the repository.
        name: Only those of this name: experiments of two base commits may share it.
    """
    pattern = "refs/exps" if name is None else f"refs/exps/*/*/{name}"
    answer = _ask_git(project, "for-each-ref", "--sort=-committerdate", f"--format={_FIELDS}", pattern)
    rows = [line.split("\0") for line in (answer or b"").decode("utf-8", "surrogateescape").splitlines()]
    found = [
        GitExperiment(ref.rpartition("/")[2], commit, int(time or 0))
        for ref, commit, time in rows
        if ref.count("/") == _EXPERIMENT_REF_SLASHES
    ]
    return [item for item in found if name in {None, item.name}]


def list_commits_of_file(project: Path, path: Path, *, most: int) -> list[str]:
    """List the commits of all branches, tags and HEAD that changed a file, the newest first.

    Args:
        project: The project's folder, which may be a part of its repository.
        path: Relative to the project.
        most: Number of commits at most.
    """
    log = ("log", "--format=%H", f"--max-count={most}", "--branches", "--tags", "HEAD", "--", str(path))
    return (_ask_git(project, *log) or b"").decode().split()


def find_commit(project: Path, revision: str) -> str | None:
    """Return the commit that a revision names; None if it names none, or may name several."""
    if revision.startswith("-"):
        return None
    answer = _ask_git(project, "rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}")
    return (answer or b"").decode().strip() or None


def read_commit_times(project: Path, commits: Sequence[str]) -> dict[str, int]:
    """Return the time of each commit, in seconds since 1970."""
    if not commits:
        return {}
    question = ("log", "--no-walk=unsorted", "--format=%H %ct", "--stdin")
    rows = (_ask_git(project, *question, text="\n".join(commits)) or b"").decode().splitlines()
    return {commit: int(time) for commit, time in map(str.split, rows)}


def read_files_of_commits(project: Path, places: Iterable[tuple[str, Path]]) -> dict[tuple[str, Path], bytes]:
    """Read files of commits by one process of git; a file that a commit does not have is left out.

    Args:
        project: The project's folder, which may be a part of its repository.
        places: Commits, and paths relative to the project.
    """
    wanted = list(places)
    stream = _ask_git(project, "cat-file", "--batch", text=_name_objects(project, wanted)) if wanted else None
    return dict(_split_batch(stream or b"", wanted))


def read_tree_ids(project: Path, commits: Iterable[str], folder: Path) -> dict[str, str]:
    """Return git's id of a folder's contents at each commit that has it: equal ids are equal contents.

    Args:
        project: The project's folder, which may be a part of its repository.
        commits: Commits; those that are not in the repository are left out.
        folder: Relative to the project.
    """
    wanted = list(dict.fromkeys(commits))
    if not wanted:
        return {}
    names = _name_objects(project, [(commit, folder) for commit in wanted])
    lines = (_ask_git(project, "cat-file", "--batch-check", text=names) or b"").decode().splitlines()
    rows = zip(wanted, map(str.split, lines), strict=False)
    return {commit: row[0] for commit, row in rows if len(row) > 1 and row[1] == "tree"}


def _name_objects(project: Path, places: Sequence[tuple[str, Path]]) -> str:
    """Return the names of files or folders of commits for `git cat-file`, a line each."""
    prefix = (_ask_git(project, "rev-parse", "--show-prefix") or b"").decode("utf-8", "surrogateescape")
    return "".join(f"{commit}:{prefix.strip()}{path.as_posix()}\n" for commit, path in places)


def _split_batch(
    stream: bytes, wanted: Sequence[tuple[str, Path]]
) -> Iterable[tuple[tuple[str, Path], bytes]]:
    """Yield each object of `git cat-file --batch`: a line `HASH TYPE SIZE`, the contents, a line break."""
    start = 0
    for place in wanted:
        end = stream.find(b"\n", start)
        if end < 0:
            return
        head, start = stream[start:end].split(b" "), end + 1
        if head[-1] == b"missing" or len(head) < 3:
            continue
        size = int(head[-1])
        if head[-2] == b"blob":
            yield place, stream[start : start + size]
        start += size + 1


def _ask_git(project: Path, *question: str, text: str | None = None) -> bytes | None:
    """Return git's answer; None if it has none."""
    command = ["git", "-C", str(project), "--no-optional-locks", *question]
    try:
        done = subprocess.run(
            command,
            input=None if text is None else text.encode("utf-8", "surrogateescape"),
            stdin=subprocess.DEVNULL if text is None else None,
            capture_output=True,
            timeout=GIT_TIMEOUT_SECONDS,
            check=False,
            env=build_git_environment(os.environ),
        )
    except subprocess.TimeoutExpired:
        raise UserError(f"`git {question[0]}` gave no answer in {GIT_TIMEOUT_SECONDS} s: try again") from None
    except OSError:
        return None
    return None if done.returncode else done.stdout
