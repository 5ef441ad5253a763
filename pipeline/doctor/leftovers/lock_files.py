"""Find locks that nobody holds and that stop git or DVC, and say who holds those of this project.

Locks of the project and of DVC are locks of the system (flock): they end with their process, and the file
that stays is no lock. Three kinds are files alone, which stay after a kill: git's `*.lock`, the entries of
DVC's rwlock, and DVC's lock under core.hardlink_lock.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.core.errors import UserError
from pipeline.doctor.check_finding import CheckFinding
from pipeline.doctor.leftovers.dvc_locks import check_hardlink_lock, check_rwlock
from pipeline.doctor.leftovers.file_locks import find_lock_holder
from pipeline.doctor.leftovers.git_locks import check_git_locks
from pipeline.doctor.leftovers.project_processes import format_command

if TYPE_CHECKING:
    from pipeline.doctor.examined_project import ExaminedProject


def check_lock_files(project: ExaminedProject) -> Iterator[CheckFinding]:
    """Check the locks of git, DVC and this project."""
    problems = [*check_git_locks(project), *check_rwlock(project)]
    with suppress(UserError, ImportError):  # other checks say that DVC's settings cannot be read
        if project.dvc_settings.hardlink_lock:
            problems += check_hardlink_lock(project.root)
    yield from problems
    if not problems:
        held = [*_list_held(project)]
        yield CheckFinding("ok", f"held: {'; '.join(held)}" if held else "none is held")


def _list_held(project: ExaminedProject) -> Iterator[str]:
    """Yield the locks that processes hold, with their commands."""
    commands = {process.pid: format_command(process.words) for process in project.processes}
    for path in [*sorted((project.scratch / "locks").glob("*.lock")), project.root / ".dvc/tmp/lock"]:
        holder = find_lock_holder(path)
        if holder is not None:
            yield f"{_name_lock(path)} by {commands.get(holder, 'process')} ({holder})"


def _name_lock(path: Path) -> str:
    """Return a short name: that of a training is a key of 64 digits."""
    return f"{path.stem[:16]}" if path.parent.name == "locks" else "DVC's lock"
