"""Measure how busy other processes keep the CPU cores that this process may use."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, NamedTuple

import psutil

from pipeline.runtime.worker_count import (
    SYSTEM_FOLDER,
    count_available_cores,
    read_affinity,
    read_quota,
)

SHORTEST_SECONDS: Final = 0.2
"""CPU times are counted in hundredths of a second: a shorter measurement is not exact enough."""
IDLE_TIMES: Final = frozenset({"idle", "iowait", "guest", "guest_nice"})
"""Fields of psutil that are no work, or that are part of `user` and `nice`."""
TASKS: Final = Path("/proc/self/task")
"""Where Linux says how long each thread of this process has waited for a core."""


class CpuLoad(NamedTuple):
    """The load of the CPU over some time.

    Attributes:
        others: Cores that other processes use, of those that this process may use; at least 0. Time that a
            hypervisor gives to other machines counts too.
        waiting: Cores that the threads of this process wait for; None where the system does not tell.
    """

    others: float
    waiting: float | None = None


class CpuLoadMeter:
    """Measures the load between two readings. Worker processes of this process count as other ones."""

    def __init__(self, system: Path = SYSTEM_FOLDER) -> None:
        self._control = system / "fs/cgroup"
        self._cpus = sorted(read_affinity())
        self._unusable = max(0, len(self._cpus) - count_available_cores(system=system))
        self._limited = math.isfinite(read_quota(self._control))
        self._last = self._take_reading()
        self._load = CpuLoad(0.0)

    def read(self) -> CpuLoad:
        """Return the load since the reading before; after less than 0.2 s, what that reading returned."""
        now, last = self._take_reading(), self._last
        seconds = now.clock - last.clock
        if seconds < SHORTEST_SECONDS:
            return self._load
        own = now.own - last.own
        others = 0.0
        if now.busy is not None and last.busy is not None:
            others = (now.busy - last.busy - own) / seconds - self._unusable
        if now.group is not None and last.group is not None:  # of the same container, within its quota
            others = max(others, (now.group - last.group - own) / seconds)
        waiting = None
        if now.waiting is not None and last.waiting is not None:
            waiting = max(0.0, now.waiting - last.waiting) / seconds  # ended threads are not counted
        self._last, self._load = now, CpuLoad(max(0.0, others), waiting)
        return self._load

    def _take_reading(self) -> _Reading:
        busy = _read_busy_seconds(self._cpus)
        group = _read_group_seconds(self._control) if self._limited else None
        return _Reading(
            time.monotonic(), busy, group, own=time.process_time(), waiting=_read_waiting_seconds()
        )


class _Reading(NamedTuple):
    """Seconds so far: the clock, of all processes, of the container, of this process, waiting for a core."""

    clock: float
    busy: float | None
    group: float | None
    own: float
    waiting: float | None


def _read_busy_seconds(cpus: Sequence[int]) -> float | None:
    """Sum the seconds that these CPUs were not idle; None where the system does not tell.

    The system lists the CPUs that are on, without their numbers. LXC lists those of the container, so where
    as many are listed as may be used, these are they: their numbers may be higher than the list is long.
    """
    try:
        times = psutil.cpu_times(percpu=True)
    except (OSError, NotImplementedError):
        return None
    used = times if len(times) == len(cpus) else [times[cpu] for cpu in cpus if cpu < len(times)]
    return sum(map(_count_busy_seconds, used))


def _count_busy_seconds(times: Any) -> float:
    """Return the seconds that one CPU was not idle, those that a hypervisor took included."""
    fields: dict[str, float] = times._asdict()
    return sum(seconds for name, seconds in fields.items() if name not in IDLE_TIMES)


def _read_group_seconds(control: Path) -> float | None:
    """Return the CPU seconds of all processes of this container, by version 2 or 1 of cgroups."""
    with suppress(OSError, ValueError, IndexError):
        return int((control / "cpu.stat").read_text().split("usage_usec", 1)[1].split()[0]) / 1e6
    with suppress(OSError, ValueError):
        return int((control / "cpuacct/cpuacct.usage").read_text()) / 1e9
    return None


def _read_waiting_seconds() -> float | None:
    """Sum the seconds that the threads of this process were ready to run and had no core."""
    total, known = 0, False
    try:
        for task in TASKS.glob("*/schedstat"):
            with suppress(FileNotFoundError, ProcessLookupError, ValueError, IndexError):
                total += int(task.read_text().split()[1])  # of a thread that may just have ended
                known = True
    except OSError:  # such as too many open files
        return None
    return total / 1e9 if known else None
