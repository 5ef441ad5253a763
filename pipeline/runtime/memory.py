"""Memory: how much there is for images and what is made of them, and that what is freed serves the next."""

from __future__ import annotations

import ctypes
from contextlib import suppress
from pathlib import Path
from typing import Final

_TRIM_THRESHOLD: Final = -1, 1 << 28
_MMAP_THRESHOLD: Final = -3, 1 << 25
"""Options of glibc's mallopt, and bytes: kept at the heap's end; taken from it (the largest value)."""


def keep_freed() -> None:
    """Let freed memory serve the next image: to fetch pages anew took a sixth of the time of `augment`.

    Where the C library is another, nothing changes.
    """
    with suppress(AttributeError, OSError, TypeError):
        tune = ctypes.CDLL(None).mallopt
        for option, value in (_TRIM_THRESHOLD, _MMAP_THRESHOLD):
            tune(option, value)


def available(control: Path = Path("/sys/fs/cgroup")) -> int:
    """Return the bytes that this process may still take: of the machine's, or of its container's.

    Args:
        control: Where Linux tells of the container, by version 2 of cgroups or by version 1.
    """
    import psutil

    free: int = psutil.virtual_memory().available
    for limit, used, reclaimable in (
        ("memory.max", "memory.current", "memory.stat"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "memory/memory.stat"),
    ):
        with suppress(OSError, ValueError):  # no container, another system, or "max": no limit
            most, taken = (int((control / name).read_text()) for name in (limit, used))
            free = min(free, max(0, most - taken + _reclaimable(control / reclaimable)))
    return free


def _reclaimable(statistics: Path) -> int:
    """Return the bytes of files that are only kept in memory as long as nobody wants it."""
    counts = dict(line.split() for line in statistics.read_text().splitlines())
    return int(counts.get("inactive_file", 0))
