"""Say what a push left to do before a clone finds everything: commits, the branch, the remote."""

from __future__ import annotations

import configparser
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from pipeline.core.text import format_count
from pipeline.remotes.branch import is_branch_pushed, list_unpushed_owners, read_branch
from pipeline.storage.git_commands import GitError, run_git

RECORDS: Final = (
    "dvc.yaml",
    "dvc.lock",
    "params.yaml",
    "compose.lock.json",
    "splits.lock.json",
    "reports",
    "conf",
)
"""What a clone needs in git, to know which data and weights are its own."""


def list_remaining_steps(project: Path, *, git_remote: str | None, dvc_remote: str) -> Iterator[str]:
    """Yield a sentence for each thing that a colleague's clone would not get.

    Args:
        project: The project's folder.
        git_remote: The name of a git remote; None if there is none.
        dvc_remote: The name of the DVC remote that was pushed to.
    """
    changed = list_uncommitted_records(project)
    if changed:
        yield (
            f"{', '.join(changed)}: not committed, so that a clone gets what the last commit names: "
            "`git add` and `git commit` them"
        )
    if not _has_committed_remote(project, dvc_remote):
        yield (
            f"the remote {dvc_remote} is not in the committed .dvc/config, so that a clone does not know it: "
            "commit .dvc/config, and keep passwords out of it (`dvc remote modify --local`)"
        )
    if git_remote is None:
        yield "git has no remote, so that experiments stay here: `git remote add origin URL`, then push again"
    elif (branch := read_branch(project)) is None:
        yield "HEAD is on no branch: `git switch -c NAME`, then `git push`"
    elif not is_branch_pushed(project, git_remote, branch):
        yield _describe_unpushed(project, git_remote, branch)


def _describe_unpushed(project: Path, remote: str, branch: str) -> str:
    head = run_git(project, "rev-parse", "HEAD")
    earlier = list_unpushed_owners(project, remote, head).keys() - {head}
    if not earlier:
        return f"the branch {branch} is not pushed: `git push {remote} {branch}`, or push with --branch"
    count = format_count(len(earlier), "earlier commit")
    return (
        f"the branch {branch} is not pushed, and {count} of it may have data that the DVC remote lacks: push "
        "with --branch, which uploads that data, too"
    )


def list_uncommitted_records(project: Path) -> list[str]:
    """List files of RECORDS that are not as the last commit has them, relative to the project."""
    present = [name for name in RECORDS if (project / name).exists()]
    changed = run_git(project, "diff", "--name-only", "--relative", "-z", "HEAD", "--", *present)
    new = run_git(project, "ls-files", "--others", "--exclude-standard", "-z", "--", *present)
    return [name for name in f"{changed}\0{new}".split("\0") if name]


def _has_committed_remote(project: Path, name: str) -> bool:
    try:
        text = run_git(project, "show", "HEAD:./.dvc/config")
    except GitError:
        return False
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    try:
        parser.read_string(text)
    except configparser.Error:
        return False
    sections = {section.strip("'").replace('"', "").lower() for section in parser.sections()}
    return f"remote {name.lower()}" in sections
