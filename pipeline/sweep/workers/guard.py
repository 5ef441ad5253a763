"""Run the command of a job, and end its process group when the sweep has vanished.

Run by its path, with the standard library alone, since it starts once a job. A killed sweep ends none of its
grandchildren; the pipe that it holds is closed then, whatever killed it.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

SIGNALS = ((signal.SIGINT, 30.0), (signal.SIGTERM, 10.0))
"""Signals for the group of a sweep that vanished, each with seconds to wait; then SIGKILL."""
_POLL_SECONDS = 0.05


def run_guarded(watched: int, cores: list[int], command: list[str]) -> NoReturn:
    """Run a command in this process group, and end as it ends.

    Args:
        watched: The reading end of a pipe that the sweep holds open.
        cores: CPUs for the command; empty for all.
        command: Its words.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: None)  # unlike SIG_IGN, the command does not inherit it
    if cores and hasattr(os, "sched_setaffinity"):
        with suppress(OSError):  # a CPU was taken from this container
            os.sched_setaffinity(0, cores)
    child = subprocess.Popen(command)
    while child.poll() is None:
        if is_closed(watched, _POLL_SECONDS):
            end_group(child)
    if child.returncode >= 0:
        os._exit(child.returncode)
    if child.returncode != -signal.SIGKILL:
        signal.signal(-child.returncode, signal.SIG_DFL)
    os.kill(os.getpid(), -child.returncode)
    os._exit(128 - child.returncode)


def is_closed(watched: int, seconds: float) -> bool:
    """Wait for the end of the pipe; return whether it came."""
    try:
        readable, _, _ = select.select([watched], [], [], seconds)
    except InterruptedError:
        return False
    return bool(readable) and not os.read(watched, 1)


def end_group(child: subprocess.Popen[bytes]) -> NoReturn:
    """End all processes of this process group, this one last."""
    for number, seconds in SIGNALS:
        os.killpg(0, number)
        end = time.monotonic() + seconds
        while (child.poll() is None or _has_others()) and time.monotonic() < end:
            time.sleep(_POLL_SECONDS)
    os.killpg(0, signal.SIGKILL)
    os._exit(1)


def _has_others() -> bool:
    """Return whether this process group has other processes; False where the system does not list them."""
    own, group = str(os.getpid()), str(os.getpgrp())
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError, IndexError):
            state, _, leader = path.read_text().rpartition(")")[2].split()[:3]
            if leader == group and path.parent.name != own and state not in {"Z", "X"}:
                return True
    return False


if __name__ == "__main__":
    run_guarded(int(sys.argv[1]), [int(core) for core in sys.argv[2].split(",") if core], sys.argv[3:])
