"""Find stages that go on although their DVC or sweep has ended, and processes of theirs that are left."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pipeline.core.text import format_count
from pipeline.doctor.check_finding import CheckFinding
from pipeline.doctor.leftovers.project_processes import ProjectProcess, format_command, is_dvc, is_sweep

if TYPE_CHECKING:
    from pipeline.doctor.examined_project import ExaminedProject

SHELLS: Final = {"sh", "bash", "dash", "zsh", "ksh", "busybox"}


def check_orphaned_processes(project: ExaminedProject) -> Iterator[CheckFinding]:
    """Find stages whose DVC was killed. They are not ended: their result is kept, and used."""
    orphans = find_orphans(project.processes)
    for process in orphans:
        if process.stage:
            seen = f"{process.stage} (process {process.pid}) goes on, although its DVC or its sweep has ended"
            advice = (
                f"wait for it: the next `dvc repro` uses what it makes; or `kill {process.pid}` it, and a "
                "training goes on from its checkpoint then"
            )
        else:
            seen = (
                f"process {process.pid} ({format_command(process.words)}) is left of a stage that has ended"
            )
            advice = f"end it with `kill {process.pid}`"
        yield CheckFinding("warning", seen, advice)
    if not orphans:
        number = sum(process.stage is not None for process in project.processes)
        seen = f"{format_count(number, 'stage runs', 'stages run')}" if number else "no stage runs"
        # the stages of its jobs are forked: their command is not that of a stage
        swept = "a sweep runs; " if any(is_sweep(process.words) for process in project.processes) else ""
        yield CheckFinding("ok", f"{swept}{seen}; none without its DVC")


def find_orphans(processes: Sequence[ProjectProcess]) -> list[ProjectProcess]:
    """Return processes that DVC started, and whose DVC and sweep have ended: of each family the first one.

    A stage that somebody typed without DVC is none.

    Args:
        processes: Those of the project.
    """
    lost = [process for process in processes if process.of_dvc and not _has_owner(process)]
    lost = [process for process in lost if process.stage or not _is_shell(process)]
    known = {process.pid for process in lost}
    return [process for process in lost if process.parent not in known]


def _has_owner(process: ProjectProcess) -> bool:
    """Return whether DVC or a sweep is above a process, or it is one itself."""
    return any(is_dvc(words) or is_sweep(words) for words in (process.words, *process.ancestors))


def _is_shell(process: ProjectProcess) -> bool:
    """Return whether a process is the shell that DVC starts a stage with, which only waits for it."""
    return Path(process.words[0]).name in SHELLS and "-c" in process.words[1:2]
