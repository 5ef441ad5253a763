"""How many jobs fit into the memory, by what the first ones need."""

from __future__ import annotations

from typing import Final

from pipeline.sweep.launchers.resources import count_jobs_in_memory

SETTLED_SECONDS: Final = 5.0
"""A training whose memory has not grown for so long has loaded what it needs."""
GROWTH: Final = 0.03
"""Growth below it does not count."""
ALLOWANCE: Final = 1.25
"""A running training may still need so much more: validation, the last epochs without mosaic."""


class MemoryUse:
    """Learns the memory that a job needs; until it is known, one job runs alone.

    Attributes:
        limits: Whether memory limits the number of jobs.
    """

    def __init__(self, available: int, *, limits: bool) -> None:
        """Start without knowledge.

        Args:
            available: Bytes that all jobs together may use.
            limits: Whether memory limits the number of jobs.
        """
        self.limits = limits
        self._available = available
        self._needed = 0
        self._seen: dict[int, tuple[int, float]] = {}

    def note_training(self, number: int, peak: int, seconds: float) -> None:
        """Note the memory of a job that trains.

        Args:
            number: Of the job.
            peak: The most bytes that its processes had at once so far.
            seconds: Since its training began.
        """
        before, since = self._seen.get(number, (0, seconds))
        if peak > before * (1 + GROWTH):
            self._seen[number] = peak, seconds
        elif seconds - since >= SETTLED_SECONDS:
            self._needed = max(self._needed, int(before * ALLOWANCE))

    def note_end(self, peak: int) -> None:
        """Note the memory of a job that has ended, in bytes."""
        self._needed = max(self._needed, peak)

    def count_fitting_jobs(self) -> int:
        """Return how many jobs may run at once, at least 1; without a limit more than a machine has cores."""
        return count_jobs_in_memory(self._available, self._needed) if self.limits else 1_000_000
