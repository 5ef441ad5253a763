"""The time of a sweep: how many points fit into sweep.hours, and when nothing starts any more."""

from __future__ import annotations

import math
import time
from statistics import fmean
from typing import NamedTuple

from pipeline.core.text import format_count
from pipeline.sweep.job import JobResult
from pipeline.sweep.settings import SweepSettings


class BudgetPlan(NamedTuple):
    """What fits into `sweep.hours`.

    Attributes:
        points: How many points the sweep will have: those that were done before this command, too.
        sentence: The plan, for the user.
    """

    points: int
    sentence: str


class BudgetClock:
    """The time that this process has spent on a sweep, and what its jobs take: limits are of each command.

    Args:
        settings: `timeout` and `hours` are used.
        done: How many points were done before.
        limit: How many points the sweep will have at most; None where the time alone decides.
    """

    def __init__(self, settings: SweepSettings, *, done: int = 0, limit: int | None = None) -> None:
        self._settings, self._done, self._limit = settings, done, limit
        self._start = time.monotonic()
        self._job_seconds: list[float] = []
        self._plans: dict[int, BudgetPlan] = {}

    @property
    def used_seconds(self) -> float:
        """Seconds since the study was opened."""
        return time.monotonic() - self._start

    @property
    def seconds_left(self) -> float | None:
        """Seconds until nothing starts any more, 0 at least; None without a limit."""
        hours = None if self._settings.hours is None else self._settings.hours * 3600
        limits = [each for each in (self._settings.timeout, hours) if each is not None]
        return max(0.0, min(limits) - self.used_seconds) if limits else None

    @property
    def job_seconds(self) -> float | None:
        """The mean time of the jobs that were trained to the end; None before the first."""
        return fmean(self._job_seconds) if self._job_seconds else None

    def add_result(self, result: JobResult) -> None:
        """Add a job that has ended; its time counts if it was trained to the end."""
        if result.status == "trained":
            self._job_seconds.append(result.seconds)

    def allows_start(self) -> bool:
        """Return whether a job may start: before the timeout, and if it is likely to end in the hours."""
        return self.find_used_setting() is None

    def find_used_setting(self) -> str | None:
        """Return the setting whose time is over, such as `sweep.timeout=600`; None while jobs may start."""
        timeout, hours = self._settings.timeout, self._settings.hours
        if timeout is not None and self.used_seconds >= timeout:
            return f"sweep.timeout={timeout:g}"
        end = self.used_seconds + (self.job_seconds or 0.0)
        return None if hours is None or end < hours * 3600 else f"sweep.hours={hours:g}"

    def plan(self, *, capacity: int, repetitions: int) -> BudgetPlan | None:
        """Plan how many points fit into `sweep.hours`; None without it, or before the first job is done.

        The plan stays the same while as many jobs run at once.
        """
        if self._settings.hours is None or self.job_seconds is None:
            return None
        if capacity not in self._plans:
            self._plans[capacity] = self._make_plan(
                self._settings.hours, self.job_seconds, capacity=capacity, repetitions=repetitions
            )
        return self._plans[capacity]

    def _make_plan(self, hours: float, job_seconds: float, *, capacity: int, repetitions: int) -> BudgetPlan:
        plan = plan_budget(
            hours,
            job_seconds=job_seconds,
            used_seconds=self.used_seconds,
            capacity=capacity,
            repetitions=repetitions,
        )
        earlier = f", beside {format_count(self._done, 'point')} of earlier commands" if self._done else ""
        points, sentence = self._done + plan.points, f"{plan.sentence}{earlier}"
        if self._limit is None or points <= self._limit:
            return BudgetPlan(points, sentence)
        return BudgetPlan(self._limit, f"{sentence}; the sweep has {self._limit} in all and ends sooner")


def plan_budget(
    hours: float, *, job_seconds: float, used_seconds: float, capacity: int, repetitions: int
) -> BudgetPlan:
    """Plan how many points fit into a time when the first job is done, those of the first jobs included.

    Args:
        hours: The time of one command.
        job_seconds: What a job takes.
        used_seconds: What has passed; the first jobs, one in each place, are done then.
        capacity: How many jobs run at once.
        repetitions: How many jobs a point has.
    """
    rounds = 1 + max(0, math.floor((hours * 3600 - used_seconds) / max(job_seconds, 1e-9)))
    points = max(1, rounds * capacity // repetitions)
    each = "a training" if repetitions == 1 else f"each of {repetitions} trainings of a point"
    sentence = (
        f"sweep.hours={hours:g}: {each} takes {_format_time(job_seconds)}, {capacity} at once, so about "
        f"{points} {'point fits' if points == 1 else 'points fit'} into the time"
    )
    return BudgetPlan(points, sentence)


def _format_time(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
