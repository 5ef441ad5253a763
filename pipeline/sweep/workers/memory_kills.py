"""Whether the system killed processes since it had no memory left."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Final

SYSTEM_ROOT: Final = Path("/")
_COUNTERS: Final = (
    "sys/fs/cgroup/memory.events",
    "sys/fs/cgroup/memory/memory.oom_control",
    "proc/vmstat",
)
"""Of the container, by version 2 and 1 of cgroups, and of the machine, which counts other containers too."""


def count_memory_kills(root: Path = SYSTEM_ROOT) -> int:
    """Return how many processes were killed for memory so far; 0 where the system does not count them.

    Args:
        root: The folder with sys and proc.
    """
    for name in _COUNTERS:
        with suppress(OSError, ValueError):
            counts = dict(line.split() for line in (root / name).read_text().splitlines())
            if "oom_kill" in counts:
                return int(counts["oom_kill"])
    return 0
