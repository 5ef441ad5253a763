"""Check the clock: against commits and files of the project, and against the tracking server."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pipeline.core.errors import UserError
from pipeline.core.paths import COMPOSE_LOCK_FILE, PARAMS_FILE, TRAINING_METRICS_FILE
from pipeline.doctor.check_finding import CheckFinding
from pipeline.storage.git_history import find_commit, read_commit_times

if TYPE_CHECKING:
    from pipeline.doctor.examined_project import ExaminedProject

TOLERANCE_SECONDS: Final = 60.0
"""Clocks of machines differ by less, also where a virtual machine was asleep."""
WATCHED_FILES: Final = (
    PARAMS_FILE,
    COMPOSE_LOCK_FILE,
    TRAINING_METRICS_FILE,
    Path("dvc.lock"),
    Path("mlflow.db"),
)
_ADVICE: Final = (
    "set the clock, as with `timedatectl set-ntp true`: times of runs and caches of hashes need it"
)


def check_clock(project: ExaminedProject) -> Iterator[CheckFinding]:
    """Check that no commit and no file is from the future, and that the server has the same time."""
    problems = [*_check_commit(project.root), *_check_files(project.root), *_check_server(project)]
    yield from problems
    if not problems:
        yield CheckFinding("ok", time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime()))


def _check_commit(root: Path) -> Iterator[CheckFinding]:
    commit = find_commit(root, "HEAD")
    known = read_commit_times(root, [commit]) if commit else {}
    ahead = max(known.values(), default=0) - time.time()
    if ahead > TOLERANCE_SECONDS:
        seen = f"the commit that is checked out is {format_duration(ahead)} in the future"
        yield CheckFinding("warning", seen, f"{_ADVICE}; or the clock of the one who committed was wrong")


def _check_files(root: Path) -> Iterator[CheckFinding]:
    """Check the times of files, which a network disk may set by its own clock."""
    for file in WATCHED_FILES:
        with suppress(OSError):
            ahead = (root / file).stat().st_mtime - time.time()
            if ahead > TOLERANCE_SECONDS:
                seen = f"{file} was changed {format_duration(ahead)} in the future"
                yield CheckFinding("warning", seen, f"{_ADVICE}; or the clock of the disk's server is wrong")
                return


def _check_server(project: ExaminedProject) -> Iterator[CheckFinding]:
    with suppress(UserError, ImportError):  # the check of MLflow says that there is no answer
        server = project.server
        if server and server.clock_ahead is not None and abs(server.clock_ahead) > TOLERANCE_SECONDS:
            side = "behind" if server.clock_ahead > 0 else "ahead of"
            gap = format_duration(abs(server.clock_ahead))
            yield CheckFinding("warning", f"this clock is {gap} {side} that of the tracking server", _ADVICE)


def format_duration(seconds: float) -> str:
    """Format a length of time in its largest unit, such as `3.2 hours`."""
    for size, unit in ((86_400, "days"), (3_600, "hours"), (60, "minutes")):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} seconds"
