"""End processes of jobs that outlived their sweep, so that no two jobs write into one workspace."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, Final

from pipeline.storage.scratch_folder import ROOT_VARIABLE

_END_SECONDS: Final = 10.0


def end_leftover_processes(workspace: Path) -> int:
    """Kill the processes of jobs that work in a workspace; return how many there were.

    Only processes with the environment of a job count: a shell of somebody who looks at it stays.

    Args:
        workspace: Its folder; it need not exist.
    """
    import psutil

    found = [process for process in psutil.process_iter() if _works_in(process, workspace)]
    for process in found:
        try:
            process.kill()
        except psutil.Error:
            continue
    end = time.monotonic() + _END_SECONDS
    while any(_is_running(process) for process in found) and time.monotonic() < end:
        time.sleep(0.05)
    return len(found)


def _works_in(process: Any, workspace: Path) -> bool:
    import psutil

    try:
        place = Path(process.cwd())
        return bool(place.is_relative_to(workspace) and ROOT_VARIABLE in process.environ())
    except (psutil.Error, OSError):  # of another user, or gone
        return False


def _is_running(process: Any) -> bool:
    import psutil

    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False
