"""The state of each job of a running sweep, what is best so far, and the time left."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Final, NamedTuple

from pipeline.sweep.job import EpochReported, JobEnded, JobResult, StageBegan, SweepEvent, SweepJob
from pipeline.sweep.report.points import SCORED

_STAGE_STATES: Final = {"finetune": "training", "evaluate": "evaluating"}
_BEST_SHOWN: Final = 3
"""How many of the best jobs stay in a table that cannot hold all."""


class SweepScope(NamedTuple):
    """How much a sweep will run.

    Attributes:
        points: How many points at most; None where a time limit decides.
        repetitions: Jobs per point.
        capacity: Jobs at once.
        seconds: Until nothing starts any more; None without a limit.
    """

    points: int | None
    repetitions: int = 1
    capacity: int = 1
    seconds: float | None = None


@dataclass
class JobState:
    """One job that was started.

    Args:
        job: The job.
        started: When, by the clock of `JobStates`.
        state: waiting, preparing, training, evaluating, or how it ended.
        epoch: The last validated epoch; 0 before the first one.
        epochs: How many there will be at most.
        value: The val metric of that epoch.
        best: The best one of its epochs.
        result: How it ended; None while it runs.
    """

    job: SweepJob
    started: float
    state: str = "waiting"
    epoch: int = 0
    epochs: int | None = None
    value: float | None = None
    best: float | None = None
    result: JobResult | None = None

    @property
    def score(self) -> float | None:
        """Its result on val if it came to its end, else None."""
        return self.result.score if self.result and self.result.status in SCORED else None


class JobStates:
    """The jobs of a sweep as the views show them."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._begin = clock()
        self._seconds: list[float] = []
        self._lost: set[int] = set()
        self.jobs: dict[int, JobState] = {}
        self.scope = SweepScope(None)
        self.metric = ""

    def set_scope(self, scope: SweepScope) -> None:
        """Set how much will run; its time limit counts from now."""
        self.scope, self._begin = scope, self._clock()

    def add_results(self, results: Sequence[JobResult]) -> None:
        """Add jobs that an earlier command ran."""
        for result in results:
            if result.status in ("failed", "killed"):  # it runs again
                self._lost.add(result.job.number)
            self.metric = self.metric or result.metric or ""
            self.jobs[result.job.number] = self._end_job(JobState(result.job, self._clock()), result)

    def start(self, job: SweepJob) -> JobState:
        """Add a job that is being started."""
        self._lost.discard(job.number)
        self.jobs[job.number] = JobState(job, self._clock())
        return self.jobs[job.number]

    def handle(self, event: SweepEvent) -> JobState | None:
        """Update the job of an event; None for one that is not known."""
        state = self.jobs.get(event.number)
        if state is None:
            return None
        if isinstance(event, StageBegan):
            if not event.restored:
                state.state = _STAGE_STATES.get(event.stage, "preparing")
        elif isinstance(event, EpochReported):
            self._note_epoch(state, event)
        elif isinstance(event, JobEnded):
            self._end_job(state, event.result)
            if event.result.status in ("trained", "pruned"):  # a restored job says nothing about the others
                self._seconds.append(event.result.seconds or self._clock() - state.started)
        return state

    def _note_epoch(self, state: JobState, event: EpochReported) -> None:
        self.metric = event.metric
        state.state, state.value = "training", event.value
        state.epoch, state.epochs = event.epoch, event.epochs
        state.best = event.value if state.best is None else max(state.best, event.value)

    def _end_job(self, state: JobState, result: JobResult) -> JobState:
        state.result, state.state = result, result.status
        state.epoch = result.epochs or state.epoch
        self.metric = self.metric or result.metric or ""
        if result.score is not None:
            state.value = state.best = result.score
        return state

    def compute_seconds(self, state: JobState) -> float:
        """Return how long a job has run, or ran."""
        return state.result.seconds if state.result else self._clock() - state.started

    @property
    def running(self) -> list[JobState]:
        """The jobs that have not ended, by number."""
        return [state for _, state in sorted(self.jobs.items()) if state.result is None]

    @property
    def best(self) -> JobState | None:
        """The job with the highest score so far, the first of equals."""
        scored = [state for _, state in sorted(self.jobs.items()) if state.score is not None]
        return max(scored, key=lambda state: state.score or 0.0) if scored else None

    def count(self, *statuses: str) -> int:
        """Return how many jobs have one of these states."""
        return sum(state.state in statuses for state in self.jobs.values())

    @property
    def trainings(self) -> list[JobState]:
        """The first job of each repetition: the evaluations of the winner at the end are no points."""
        first: dict[tuple[int, int], JobState] = {}
        for _, state in sorted(self.jobs.items()):
            first.setdefault((state.job.point, state.job.repetition), state)
        return list(first.values())

    def count_ended_points(self) -> int:
        """Return how many points need no further job."""
        points: dict[int, list[JobState]] = {}
        for state in self.trainings:
            points.setdefault(state.job.point, []).append(state)
        return sum(
            all(state.result for state in states)
            and (len(states) >= self.scope.repetitions or any(state.state == "pruned" for state in states))
            for states in points.values()
        )

    def choose_rows(self, limit: int) -> list[JobState]:
        """Return jobs for a table of at most `limit` rows, by number: running, the best, the last ones."""
        ordered = [state for _, state in sorted(self.jobs.items())]
        if len(ordered) <= limit:
            return ordered
        ended = [state for state in ordered if state.result is not None]
        scored = [state for state in ended if state.score is not None]
        best = sorted(scored, key=lambda state: -(state.score or 0.0))[:_BEST_SHOWN]
        chosen = [*self.running, *best, *reversed(ended)]
        numbers = list(dict.fromkeys(state.job.number for state in chosen))[: max(0, limit)]
        return [self.jobs[number] for number in sorted(numbers)]

    def estimate_seconds_left(self) -> float | None:
        """Return about how long the sweep will go on; None while nothing is known about a job's time."""
        usual = self._estimate_job_seconds()
        limit = None if self.scope.seconds is None else self.scope.seconds - (self._clock() - self._begin)
        if usual is None:
            return None
        left = [max(0.0, usual - self.compute_seconds(state)) for state in self.running]
        if self.scope.points is None:
            return None if limit is None else max([limit, *left])
        begun = len(self.trainings) - len(self._lost)
        waiting = max(0, self.scope.points * self.scope.repetitions - begun)
        capacity = max(1, self.scope.capacity)
        whole = max([(waiting * usual + sum(left)) / capacity, *left, usual if waiting else 0.0])
        return whole if limit is None else min(whole, max([0.0, limit]) + usual)

    def _estimate_job_seconds(self) -> float | None:
        """Return how long a job takes: the mean of those that ended here, else by the epochs so far."""
        if self._seconds:
            return fmean(self._seconds)
        projected = [
            self.compute_seconds(state) / state.epoch * state.epochs
            for state in self.running
            if state.epoch and state.epochs
        ]
        return fmean(projected) if projected else None
