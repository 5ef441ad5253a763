"""Find locks of git that a killed git left: files that stop each later git, and DVC with it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pipeline.core.errors import UserError
from pipeline.core.text import format_count
from pipeline.doctor.check_finding import CheckFinding
from pipeline.doctor.leftovers.file_locks import is_on_network_disk, is_own_file
from pipeline.doctor.leftovers.project_processes import is_dvc, is_sweep, list_project_processes

if TYPE_CHECKING:
    from pipeline.doctor.examined_project import ExaminedProject

MIN_AGE_SECONDS: Final = 60.0
"""Git holds a lock for moments, and for longer while an editor is open: then its process runs."""
_WRITERS: Final = frozenset({"git", "git-lfs", "git-gui", "tig", "lazygit"})


def check_git_locks(project: ExaminedProject) -> Iterator[CheckFinding]:
    """Find the locks of git that are older than a minute."""
    folder = find_git_folder(project.root)
    old = [path for path in list_git_locks(folder) if _compute_age(path) > MIN_AGE_SECONDS]
    if not old:
        return
    seen = f"git is locked by {', '.join(str(path.relative_to(folder.parent)) for path in old[:3])}"
    if find_writers(project):
        yield CheckFinding("warning", seen, "a git or DVC of this project runs: wait for it to end")
    elif is_on_network_disk(folder) or not all(map(is_own_file, old)):
        yield CheckFinding("fault", seen, "if no git of another user or machine runs here, delete the file")
    else:
        advice = "no git runs here, so it was killed: delete the file, or run `finetrack doctor --fix`"
        yield CheckFinding("fault", seen, advice, partial(_delete_locks, project, old))


def find_git_folder(root: Path) -> Path:
    """Return .git of the repository that a project is in; that of the project if there is none."""
    return next((path / ".git" for path in (root, *root.parents) if (path / ".git").exists()), root / ".git")


def list_git_locks(folder: Path) -> list[Path]:
    """List the lock files of a repository: of its index, its configuration and its references.

    Args:
        folder: .git; a work tree, where it is a file, has none.
    """
    return [*folder.glob("*.lock"), *(folder / "refs").rglob("*.lock")] if folder.is_dir() else []


def find_writers(project: ExaminedProject) -> bool:
    """Return whether a process runs in the repository that may hold a lock of git: git, DVC or a sweep."""
    top = find_git_folder(project.root).parent
    # git works in the top folder of its repository, which may be above the project
    found = project.processes if top == project.root else list_project_processes(top)
    return any(
        Path(process.words[0]).name in _WRITERS or is_dvc(process.words) or is_sweep(process.words)
        for process in found
    )


def _delete_locks(project: ExaminedProject, locks: Sequence[Path]) -> str:
    """Delete locks, if none has changed and no git was started meanwhile."""
    if find_writers(project.examine_again()):
        raise UserError("a git or DVC of this project was started meanwhile")
    old = [path for path in locks if path.exists() and _compute_age(path) > MIN_AGE_SECONDS]
    for path in old:
        path.unlink(missing_ok=True)
    names = ", ".join(path.name for path in old)
    return f"deleted {format_count(len(old), 'lock')} that a killed git left: {names}"


def _compute_age(path: Path) -> float:
    """Return the seconds since the last change of a file; 0 if it has just been deleted."""
    try:
        return time.time() - path.lstat().st_mtime
    except FileNotFoundError:
        return 0.0
