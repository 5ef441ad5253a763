"""Find sweeps that were stopped: their clones stay until they go on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.core.text import format_count
from pipeline.doctor.check_finding import CheckFinding
from pipeline.doctor.leftovers.file_locks import find_lock_holder

if TYPE_CHECKING:
    from pipeline.doctor.examined_project import ExaminedProject


def check_stopped_sweeps(project: ExaminedProject) -> Iterator[CheckFinding]:
    """Report the clones of sweeps that do not run; they stay, since a sweep uses them when it goes on."""
    stopped = [*list_stopped_sweeps(project.scratch / "sweeps")]
    for folder, clones in stopped:
        what = format_count(clones, "clone of the project is", "clones of the project are")
        seen = f"the sweep {folder.name} was stopped, and {what} left in .finetrack/sweeps/{folder.name}"
        advice = "its command makes it go on and deletes them; or delete its folder `workspaces`"
        yield CheckFinding("warning", seen, advice)
    if not stopped:
        yield CheckFinding("ok", "none was stopped on its way")


def list_stopped_sweeps(folder: Path) -> Iterator[tuple[Path, int]]:
    """Yield the folder of each sweep that has clones and does not run, with their number.

    Args:
        folder: Of all sweeps.
    """
    for place in sorted(folder.glob("*/workspaces")):
        clones = [path for path in place.iterdir() if path.is_dir()]
        if clones and find_lock_holder(place.parent / "lock") is None:
            yield place.parent, len(clones)
