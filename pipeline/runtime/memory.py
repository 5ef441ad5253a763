"""Memory: how much is available, and reuse of freed memory."""

from __future__ import annotations

import ctypes
from contextlib import suppress
from pathlib import Path
from typing import Final

_TRIM_THRESHOLD: Final = -1, 1 << 28
_MMAP_THRESHOLD: Final = -3, 1 << 25
"""Options of glibc's mallopt with their values in bytes: M_TRIM_THRESHOLD keeps this much free memory at the
end of the heap; M_MMAP_THRESHOLD (here its maximum) lets larger blocks come from the heap too."""


def reuse_freed_memory() -> None:
    """Keep freed memory for the next image: new pages from the system took a sixth of the time of `augment`.

    Does nothing where the C library is not glibc.
    """
    with suppress(AttributeError, OSError, TypeError):
        set_option = ctypes.CDLL(None).mallopt
        for option, value in (_TRIM_THRESHOLD, _MMAP_THRESHOLD):
            set_option(option, value)


def read_available_memory(control: Path = Path("/sys/fs/cgroup")) -> int:
    """Return how many more bytes this process can use: of the machine, or of its container.

    Args:
        control: The folder in which Linux shows the limits of a container (cgroups, version 2 or 1).
    """
    import psutil

    available: int = psutil.virtual_memory().available
    for limit_file, usage_file, statistics_file in (
        ("memory.max", "memory.current", "memory.stat"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "memory/memory.stat"),
    ):
        with suppress(OSError, ValueError):  # no container, another system, or "max": no limit
            limit, used = (int((control / name).read_text()) for name in (limit_file, usage_file))
            reclaimable = _read_reclaimable_bytes(control / statistics_file)
            available = min(available, max(0, limit - used + reclaimable))
    return available


def _read_reclaimable_bytes(statistics: Path) -> int:
    """Return the bytes of cached files that the system frees when memory is needed."""
    counts = dict(line.split() for line in statistics.read_text().splitlines())
    return int(counts.get("inactive_file", 0))
