"""Decide how many threads compute: as many as there are free cores. No clock, no I/O.

The threads of one computation wait for one another at the end of each parallel loop. One thread that has to
share its core stops all of them for a time slice, many times in each step: beside one busy process, two
threads on two cores take ten times as long as one.
"""

from __future__ import annotations

import math
from collections import deque
from statistics import fmean, median
from typing import Final

from pipeline.runtime.cpu_load import CpuLoad

MEASUREMENTS: Final = 3
"""Measurements of the load that decide together: one alone may be a short burst."""
FIRST_HOLD: Final = 5.0
"""So long, in seconds, it must be free before more threads are used. Doubles each time that was too early."""
LAST_HOLD: Final = 300.0
STEADY_SECONDS: Final = 60.0
"""More threads that lasted so long were not too early."""
SLOW: Final = 2.0
"""A step that takes so many times the usual time is slow."""
FASTER: Final = 0.95
"""Share of the time before that a change must reach to be kept."""
LEAST_OTHERS: Final = 0.15
"""Cores. Below it nobody else is at work: our own threads wait for one another, as when a model is saved."""


class ThreadController:
    """Chooses the number of threads from the load of the machine and from the time of the steps.

    It begins with the cores that are free. It goes down when others use cores that the threads need, and up,
    by half of what is free, when the machine was free for a while; where that was too early, it waits longer
    the next time. A change upwards is measured and taken back where the steps are not faster. Steps that
    become slow although no load is seen (a container may hide it) are tried with half of the threads. On a
    machine without other work the number does not change.
    """

    def __init__(self, *, most: int, cores: int) -> None:
        """Begin with all threads.

        Args:
            most: The largest number of threads, at least 1: one per physical core.
            cores: Logical cores that this process may use, at least `most`.
        """
        self.threads = self._most = most
        self.others = 0.0  # cores that other processes used lately
        self._cores = cores
        self._loads: deque[CpuLoad] = deque(maxlen=MEASUREMENTS)
        self._steps: dict[int, deque[float]] = {}
        self._trial: tuple[int, float] | None = None
        self._hold, self._changed, self._raised = FIRST_HOLD, -math.inf, -math.inf
        self._free_since = math.inf

    def start(self, load: CpuLoad) -> None:
        """Begin with as many threads as there are cores free."""
        self.others = load.others
        self.threads = self._fit(load.others)

    def observe_load(self, load: CpuLoad, now: float) -> None:
        """Take in the load of the last half second or so.

        Args:
            load: The load.
            now: Seconds of any clock that only goes forward.
        """
        self._loads.append(load)
        if len(self._loads) < MEASUREMENTS:
            return
        self.others = fmean(load.others for load in self._loads)
        free = self._fit(self.others) - self.threads
        self._free_since = min(self._free_since, now) if free > 0 else math.inf
        if self._is_contended():
            self._lower(self.threads + min(free, -1), now)
        elif not self._trial and now - self._free_since >= self._hold:
            self._raise(self.threads + math.ceil(free / 2), now)

    def observe_step(self, seconds: float, *, threads: int, now: float) -> None:
        """Take in the time of a step.

        Args:
            seconds: Of the step, or in proportion to its work.
            threads: With which the whole step was computed.
            now: As in `observe_load`.
        """
        if threads != self.threads:
            return
        steps = self._steps.setdefault(threads, deque(maxlen=16))
        steps.append(seconds)
        if self._trial:
            self._judge(list(steps)[1:], now)
        elif threads > 1 and now - self._changed >= self._hold and _became_slow(list(steps)):
            self._try(max(1, threads // 2), median(list(steps)[-3:]), now)

    def forget_steps(self) -> None:
        """Forget the time of the steps so far: the work of a step has changed."""
        self._steps.clear()
        self._trial = None

    def _fit(self, others: float) -> int:
        """Return how many threads find a core each."""
        fitting = (n for n in range(self._most, 1, -1) if n + others - self._cores < _tolerance(n))
        return next(fitting, 1)

    def _is_contended(self) -> bool:
        """Tell whether threads have to share cores with other processes."""
        waits = [load.waiting for load in self._loads if load.waiting is not None]
        missing = self.threads + self.others - self._cores
        if waits and self.others >= LEAST_OTHERS:
            missing = max(missing, fmean(waits))
        return self.threads > 1 and missing >= _tolerance(self.threads)

    def _lower(self, threads: int, now: float) -> None:
        too_early = now - self._raised < STEADY_SECONDS
        self._hold = min(2 * self._hold, LAST_HOLD) if too_early else FIRST_HOLD
        self._trial = None
        self._set(threads, now)

    def _raise(self, threads: int, now: float) -> None:
        before = self._steps.get(self.threads)
        self._raised = now
        if before and len(before) >= 3:
            self._try(threads, median(before), now)
        else:
            self._set(threads, now)

    def _try(self, threads: int, seconds: float, now: float) -> None:
        self._trial = (self.threads, seconds)
        self._set(threads, now)

    def _judge(self, steps: list[float], now: float) -> None:
        """Keep the change, or take it back. The first step after a change prepares its computation."""
        assert self._trial
        before, seconds = self._trial
        clearly_slower = bool(steps) and steps[0] > SLOW * seconds
        if len(steps) < 3 and not clearly_slower:
            return
        self._trial = None
        if clearly_slower or median(steps) > FASTER * seconds:
            self._hold = min(2 * self._hold, LAST_HOLD)
            self._set(before, now)

    def _set(self, threads: int, now: float) -> None:
        self.threads, self._changed = threads, now
        self._free_since = math.inf
        self._loads.clear()
        self._steps.pop(threads, None)


def _tolerance(threads: int) -> float:
    """Return how many cores may be missing before one thread less is faster: the more threads, the fewer."""
    return max(0.9 / threads, 0.15, 0.01 * threads)


def _became_slow(steps: list[float]) -> bool:
    """Tell whether each of the last three steps took far longer than the five or more before them."""
    return len(steps) >= 8 and min(steps[-3:]) > SLOW * median(steps[:-3])
