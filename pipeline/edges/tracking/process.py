"""Which process is at a run, written so that a later one can tell whether it still lives."""

from __future__ import annotations

import contextlib
import os
import platform
from pathlib import Path

import psutil


def identity() -> str:
    """Name this process: machine, process namespace (containers), number, and the second of its start."""
    return f"{machine()}{os.getpid()}:{_start(os.getpid())}"


def machine() -> str:
    """Name what process numbers are valid in; two containers of one machine do not share them."""
    namespace = "0"
    with contextlib.suppress(OSError):
        namespace = str(Path("/proc/self/ns/pid").stat().st_ino)
    return f"{platform.node()}:{namespace}:"


def is_gone(name: str) -> bool:
    """Say whether the process of that name, on this machine, has ended; elsewhere nobody can tell."""
    if not name.startswith(machine()):
        return False
    with contextlib.suppress(ValueError):
        number, start = (int(part) for part in name.removeprefix(machine()).split(":"))
        now = _start(number)
        return now is None or abs(now - start) > 2  # the clock may have been set
    return False


def _start(number: int) -> int | None:
    try:
        process = psutil.Process(number)
        return None if process.status() == psutil.STATUS_ZOMBIE else int(process.create_time())
    except psutil.Error:
        return None
