"""When a process started, on a clock that nobody sets: its number may be another process's later."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import psutil


class HiddenProcessError(Exception):
    """A process runs, but of another user, and the system does not show it (hidepid of proc(5))."""


def read_process_start(pid: int) -> float | None:
    """Return when a process started; None if it has ended.

    Args:
        pid: Its number.

    Returns:
        Clock ticks since the machine was started; where there is no /proc, seconds since 1970.

    Raises:
        HiddenProcessError: Nothing but its number can be known.
    """
    with suppress(OSError):
        _, _, rest = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")
        fields = rest.split()
        return None if fields[0] in {"Z", "X"} else float(fields[19])
    if not Path("/proc/self").exists():
        return _ask_system(pid)
    with suppress(ProcessLookupError, OverflowError):
        with suppress(PermissionError):
            os.kill(pid, 0)  # it asks, and sends nothing
        raise HiddenProcessError(str(pid))
    return None


def read_boot_id() -> str:
    """Return an id of the machine's start; empty where the system has none."""
    with suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    return ""


def _ask_system(pid: int) -> float | None:
    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else process.create_time()
    except psutil.AccessDenied:
        raise HiddenProcessError(str(pid)) from None
    except psutil.Error:
        return None
