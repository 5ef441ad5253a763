"""How many workers to use: one per CPU core that this process may use, unless a number is asked for."""

from __future__ import annotations

import math
import os
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import Final

SYSTEM_FOLDER: Final = Path("/sys")
"""Where Linux shows the limits of a container and which CPUs share a core."""


def choose_worker_count(requested: int = 0, *, limit: int | None = None) -> int:
    """Return how many threads or processes share a work.

    Args:
        requested: The user's number; 0: one worker per core that this process may use.
        limit: At most so many, for work of which each piece takes much memory.
    """
    workers = requested or count_available_cores()
    return workers if limit is None else min(workers, limit)


def count_available_cores(*, physical: bool = False, system: Path = SYSTEM_FOLDER) -> int:
    """Count the CPU cores that this process may use: affinity and the container's quota, at least 1.

    A quota counts rounded up: with 1.5 CPUs two threads are busy three quarters of the time.
    joblib.cpu_count follows the same limits, but its import takes 0.2 s, in commands that have nothing
    else to do, and under an affinity or a quota it counts hyperthreads as physical cores.
    os.process_cpu_count (Python 3.13) does not know quotas.

    Args:
        physical: Count CPUs that share a core (hyperthreads) once: they share its arithmetic units.
        system: The folder of Linux's sysfs.
    """
    cpus = read_affinity()
    cores = _count_physical_cores(cpus, system) if physical else len(cpus)
    return max(1, math.ceil(min(cores, read_quota(system / "fs/cgroup"))))


def read_affinity() -> Collection[int]:
    """Return the numbers of the CPUs that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return os.sched_getaffinity(0)
    return range(os.cpu_count() or 1)


def _count_physical_cores(cpus: Collection[int], system: Path) -> int:
    """Count the cores of these CPUs: CPUs of one core name the same siblings."""
    lists = [system / f"devices/system/cpu/cpu{cpu}/topology/thread_siblings_list" for cpu in cpus]
    try:
        return len({path.read_text() for path in lists})
    except OSError:  # not Linux, or a sandbox without sysfs
        import psutil

        return min(len(cpus), psutil.cpu_count(logical=False) or len(cpus))


def read_quota(control: Path) -> float:
    """Return the container's quota in CPUs, by version 2 or 1 of cgroups; infinite without one."""
    with suppress(OSError, ValueError):  # not in a container, or "max": no limit
        quota, period = map(int, (control / "cpu.max").read_text().split())
        return quota / period
    with suppress(OSError, ValueError):
        quota, period = (
            int((control / f"cpu/cpu.cfs_{name}_us").read_text()) for name in ("quota", "period")
        )
        return quota / period if quota > 0 else math.inf
    return math.inf
