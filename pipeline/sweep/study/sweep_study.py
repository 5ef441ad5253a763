"""The study of a sweep: what is trained next, which training is pruned, and what came out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any, Final

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import FrozenTrial

from pipeline.sweep.job import JobResult
from pipeline.sweep.settings import SweepSettings
from pipeline.sweep.space.search_space import SearchSpace
from pipeline.sweep.study.budget import BudgetClock, BudgetPlan
from pipeline.sweep.study.check_settings import (
    DEFAULT_POINTS,
    FINISHED,
    get_judged_repetitions,
    resolve_sampler,
)
from pipeline.sweep.study.database import records
from pipeline.sweep.study.database.store import StudyStore
from pipeline.sweep.study.evaluate_point import PointJudge
from pipeline.sweep.study.open_point import OpenPoint, PlannedTraining, read_open_point
from pipeline.sweep.study.points import StudyPoint, count_done, count_points, read_points, select_best_points
from pipeline.sweep.study.pruning_summary import PruningSummary, summarize_pruning
from pipeline.sweep.study.repetitions import get_repetitions
from pipeline.sweep.study.sampling.distributions import build_distributions, select_values, suggest_value
from pipeline.sweep.study.sampling.samplers import build_sampler
from pipeline.sweep.study.study_inputs import StudyInputs

MOST_PROPOSALS_IN_A_ROW: Final = 100
"""After so many proposals that are no new training the sampler is taken to have none left."""


class SweepStudy:
    """The study of a sweep, as one process runs it. Its methods are called by one thread.

    Args:
        store: The trials in the database.
        space: The search space.
        settings: The settings of the sweep.
        inputs: See `StudyInputs`.
    """

    def __init__(
        self, store: StudyStore, *, space: SearchSpace, settings: SweepSettings, inputs: StudyInputs
    ) -> None:
        self.space = space
        self.settings = settings
        self.objectives = settings.objectives or ("",)
        self.repetitions = get_repetitions(settings, inputs.base_seed)
        self._store = store
        self._inputs = inputs
        self._sampler = resolve_sampler(space, settings)
        self._grid = inputs.list_grid(space) if self._sampler == "grid" else []
        self._distributions = build_distributions(space)
        self._judge = PointJudge(store, settings)
        self._clock = BudgetClock(settings, done=count_done(self.points), limit=self.limit)
        self._open: dict[int, OpenPoint] = {}
        self._is_exhausted = False
        self._is_stopping = False

    @property
    def name(self) -> str:
        """The name of the sweep."""
        return self._store.name

    @property
    def limit(self) -> int | None:
        """How many points there will be at most; None where the time alone decides."""
        if self._sampler == "grid":
            return min(len(self._grid), self.settings.trials or len(self._grid))
        return self.settings.trials or (None if self.settings.hours else DEFAULT_POINTS)

    @property
    def is_exhausted(self) -> bool:
        """Whether the sampler proposed only known points, many times in a row."""
        return self._is_exhausted

    @property
    def is_complete(self) -> bool:
        """Whether every point has ended, and none is left to be proposed or tried again."""
        return self._is_full() and self._store.retry(self._is_settled)

    @property
    def has_ended(self) -> bool:
        """Whether it is complete, or time alone decides, is used up, and nothing is unfinished."""
        is_over = self.limit is None and self.find_used_setting() is not None
        return self._store.retry(self._is_settled) if is_over else self.is_complete

    @property
    def points(self) -> list[StudyPoint]:
        """All points as they are now, of other processes, too; in the order of their numbers."""
        return self._store.retry(lambda: read_points(self._store.list_trials(), self.space, self.objectives))

    @property
    def best_points(self) -> list[StudyPoint]:
        """The best point of each kind of score; with several objectives the Pareto front of each kind."""
        return select_best_points(self.points, self.objectives)

    def count_elsewhere(self) -> int:
        """Count the points that other processes run."""
        return self._store.retry(self._store.count_elsewhere)

    def hold_run_key(self, earlier: str, tell: Callable[[str], None]) -> AbstractContextManager[str]:
        """Hold the text that identifies the run in MLflow; see `StudyStore.hold_run_key`."""
        return self._store.hold_run_key(earlier, tell)

    def read_test_record(self) -> Mapping[str, Any] | None:
        """Return what a process wrote of the scores on test; None while none has."""
        return self._store.retry(self._store.read_test_record)

    def write_test_record(self, record: Mapping[str, Any]) -> None:
        """Write the scores of the winner on test for all processes; see `build_test_record`."""
        self._store.retry(lambda: self._store.write_test_record(record))

    def summarize_pruning(self) -> PruningSummary:
        """Summarize what pruning saved."""
        return summarize_pruning(self.points, self.repetitions.total)

    def plan_budget(self, capacity: int) -> BudgetPlan | None:
        """Plan how many points fit into `sweep.hours`; None without it, or before the first job is done."""
        return self._clock.plan(capacity=capacity, repetitions=self.repetitions.total)

    @property
    def seconds_left(self) -> float | None:
        """Seconds until nothing starts any more; None without sweep.timeout and sweep.hours."""
        return self._clock.seconds_left

    def find_used_setting(self) -> str | None:
        """Return the setting whose time is over, such as `sweep.timeout=600`; None while jobs may start."""
        return self._clock.find_used_setting()

    def next_job(self) -> PlannedTraining | None:
        """Return what is to be started now; None if nothing is, now or at all.

        First points that were begun, then those of ended processes and failed ones, then a new one.

        Raises:
            UserError: The database cannot be used.
        """
        if self._is_stopping or not self._clock.allows_start():
            return None
        return self._store.retry(self._find_next_job)

    def report_epoch(self, number: int, epoch: int, value: float, *, epochs: int | None = None) -> bool:
        """Record the val metric of an epoch. Return whether the training is pruned.

        Args:
            number: The number of the job.
            epoch: From 1. One that is known already, of a training that goes on, is not recorded again.
            value: The val metric.
            epochs: How many there will be at most; None where it is not known.
        """
        point, repetition = self.repetitions.locate_job(number)
        opened = self._open.get(point)
        if opened is None or repetition not in opened.running:
            return False
        return self._judge.report_epoch(opened, repetition, epoch=epoch, value=value, epochs=epochs)

    def finish_job(self, result: JobResult) -> None:
        """Record how a job ended; with the last repetition the point gets its value.

        A failed or killed job runs again in the next process. Results of points of others are dropped.

        Raises:
            UserError: The database cannot be used.
        """
        self._clock.add_result(result)
        if (opened := self._open.get(result.job.point)) is None:  # the point was taken over
            return
        try:
            self._store.retry(lambda: self._record_result(opened, result))
        except UpdateFinishedTrialError:
            self._store.forget(opened.trial_id)
            self._open.pop(opened.number, None)

    def stop(self) -> None:
        """Start nothing more. What runs may be finished with `finish_job`."""
        self._is_stopping = True

    def close(self) -> None:
        """Give back what is not finished, so that the next process takes it up, and close the database."""
        self._is_stopping = True
        try:
            for point in list(self._open.values()):
                self._store.release(point.trial_id)
            self._open.clear()
        finally:
            self._store.close()

    def _find_next_job(self) -> PlannedTraining | None:
        started = self._start_repetition()
        while started is None and (trial_id := self._store.claim_trial()) is not None:
            self._enter_point(trial_id)
            started = self._start_repetition()
        return started or self._propose_point()

    def _start_repetition(self) -> PlannedTraining | None:
        judged = get_judged_repetitions(self.settings.pruner)
        for _, point in sorted(self._open.items()):
            repetition = point.find_startable(self.repetitions.total, judged)
            if repetition is not None:
                return self._start(point, repetition)
        return None

    def _start(self, point: OpenPoint, repetition: int) -> PlannedTraining:
        attempt = records.read_attempts(self._store.get_trial(point.trial_id), repetition) + 1
        self._store.write(point.trial_id, records.name_attempts(repetition), attempt)
        point.running.add(repetition)
        return PlannedTraining(
            number=self.repetitions.compute_job_number(point.number, repetition),
            point=point.number,
            repetition=repetition,
            values=point.values,
            overrides=self.repetitions.build_overrides(repetition),
            attempt=attempt,
        )

    def _is_settled(self) -> bool:
        return all(trial.state.is_finished() for trial in self._store.list_trials())

    def _is_full(self) -> bool:
        limit = self.limit
        trials = self._store.list_trials()
        if self._sampler == "grid" and len(trials) >= len(self._grid):
            return True
        return self._is_exhausted or (limit is not None and count_points(trials) >= limit)

    def _propose_point(self) -> PlannedTraining | None:
        for _ in range(MOST_PROPOSALS_IN_A_ROW):
            if self._is_full():
                return None
            self._enter_point(self._store.create_trial())
            if started := self._start_repetition():
                return started
        self._is_exhausted = True
        return None

    def _enter_point(self, trial_id: int) -> None:
        """Give a trial its values, and run it unless it cannot be trained or its result is known."""
        try:
            number = self._store.get_trial(trial_id).number
            if self._sampler == "grid" and number >= len(self._grid):  # two processes made the last one
                self._judge.drop(number, trial_id)
                return
            trial = self._sample(trial_id)
            point = read_open_point(trial, select_values(self.space, trial.params))
            if not self._reject(point):
                self._open[point.number] = point
                self._settle_if_done(point)
        except BaseException:
            self._store.forget(trial_id)  # it is claimed again by the next try
            raise

    def _reject(self, point: OpenPoint) -> bool:
        """Return whether a point is not run: it cannot be trained, or it is the training of another point."""
        if point.results:
            return False
        reason = self._inputs.find_error(point.values)
        if reason is not None:
            self._judge.reject(point, reason)
            return True
        key = self._inputs.compute_key(point.values)
        self._store.write(point.trial_id, records.KEY, key)
        return self._judge.take_known_result(point, key)

    def _sample(self, trial_id: int) -> FrozenTrial:
        start = None if self._sampler == "grid" else self._inputs.start
        if start and self._store.get_trial(trial_id).number == 0:
            self._store.fix_values(trial_id, start)
        sampler = build_sampler(self._sampler, seed=self.settings.seed, trials=self.limit, grid=self._grid)
        trial = optuna.Trial(self._judge.load_study(sampler), trial_id)
        for name, distribution in self._distributions.items():
            suggest_value(trial, name, distribution)
        return self._store.get_trial(trial_id)

    def _record_result(self, point: OpenPoint, result: JobResult) -> None:
        repetition = result.job.repetition
        self._store.write(point.trial_id, records.name_result(repetition), records.encode_result(result))
        point.running.discard(repetition)
        if result.status in FINISHED:
            point.results[repetition] = result
            point.behind |= result.status == "pruned" or self._judge.is_behind(point, result)
        else:
            point.failed = True
        self._settle_if_done(point)

    def _settle_if_done(self, point: OpenPoint) -> None:
        if not point.is_done(self.repetitions.total):
            return
        if point.failed:
            self._store.write(point.trial_id, records.FAILED, self._store.own.invocation)
            self._store.release(point.trial_id)
        else:
            self._judge.settle(point)
        self._open.pop(point.number, None)
