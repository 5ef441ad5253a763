"""Summarize the results of a sweep: the repetitions of each point, the best point, the Pareto front."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from statistics import fmean, stdev
from typing import TYPE_CHECKING, Final

from pipeline.sweep.job import JobResult
from pipeline.sweep.study.database.address import hide_passwords
from pipeline.sweep.study.objectives import compute_violation, is_minimized, parse_constraint

if TYPE_CHECKING:
    from pipeline.sweep.study.pruning_summary import PruningSummary  # imports Optuna, which is slow

FOLD_KEYS: Final = ("data.fold", "data.folds")
"""The keys by which the jobs of a cross-validation differ from the training that follows it."""

_REPETITION: Final = re.compile(r"(seed|fold)=\d+")
"""What the label of a job has of its repetition, at the end."""

SCORED: Final = ("trained", "restored")
"""The statuses of jobs whose training came to its end."""


@dataclass(frozen=True)
class PointSummary:
    """One point of a sweep: its jobs, one per seed and fold.

    Args:
        number: The number of the point, from 0.
        jobs: The results of its repetitions, in their order.
        planned: How many repetitions it has when it is complete.
        is_feasible: Whether it keeps the constraints of the sweep.
    """

    number: int
    jobs: tuple[JobResult, ...]
    planned: int = 1
    is_feasible: bool = True

    @property
    def label(self) -> str:
        """What differs in the sweep, without the seeds and folds of the repetitions."""
        words = self.jobs[0].job.label.split(" ")
        if len(self.jobs) > 1:
            return " ".join(
                word for word in words if all(word in row.job.label.split(" ") for row in self.jobs)
            )
        while self.planned > 1 and words and _REPETITION.fullmatch(words[-1]):  # the others were not started
            words.pop()
        return " ".join(words)

    @cached_property
    def scores(self) -> list[float]:
        """The scores of its trained and restored jobs, on val."""
        scored = (job.score for job in self.jobs if job.status in SCORED)
        return [score for score in scored if score is not None]

    @property
    def mean(self) -> float | None:
        """The mean of the scores; None without one."""
        return fmean(self.scores) if self.scores else None

    @property
    def spread(self) -> float | None:
        """The standard deviation of the scores (with n - 1); None for fewer than two."""
        return stdev(self.scores) if len(self.scores) > 1 else None

    @property
    def is_complete(self) -> bool:
        """Whether each of its repetitions has a score."""
        return len(self.scores) == max(self.planned, len(self.jobs))

    @property
    def status(self) -> str:
        """The status of its first repetition that has no score; else of its first one."""
        without = (job.status for job in self.jobs if job.status not in SCORED)
        return next(without, self.jobs[0].status)

    @property
    def kind(self) -> str:
        """Task and metric of its scores, such as `detect mAP50-95`; others cannot be compared with it."""
        return next((describe_metric(job) for job in self.jobs if job.score is not None), "")

    @property
    def metric(self) -> str | None:
        """The metric of its scores."""
        return next((job.metric for job in self.jobs if job.metric), None)

    @property
    def seconds(self) -> float:
        """The time of its jobs, all together."""
        return sum(job.seconds for job in self.jobs)

    @property
    def overrides(self) -> tuple[str, ...]:
        """The overrides of the training that the point stands for: those that its repetitions share.

        The base seed stays the configuration's. After a cross-validation the training has no folds.
        """
        shared = [
            word for word in self.jobs[0].job.overrides if all(word in job.job.overrides for job in self.jobs)
        ]
        dropped = FOLD_KEYS if self.has_folds else ()
        return tuple(word for word in shared if get_override_key(word) not in dropped)

    @property
    def has_folds(self) -> bool:
        """Whether its jobs are the folds of a cross-validation."""
        return len({parse_overrides(job.job.overrides).get(FOLD_KEYS[0]) for job in self.jobs} - {None}) > 1

    def compute_means(self, names: Sequence[str]) -> dict[str, float]:
        """Return the mean of each metric over the jobs that have a score; without those that a job lacks."""
        scored = [{"seconds": job.seconds, **job.metrics} for job in self.jobs if job.status in SCORED]
        return {
            name: fmean(metrics[name] for metrics in scored)
            for name in names
            if scored and all(name in metrics for metrics in scored)
        }


@dataclass(frozen=True)
class SweepSummary:
    """Everything that is told about a sweep.

    Args:
        name: The name of the sweep.
        command: The command that runs or continues it.
        results: The last result of each job.
        repetitions: How many jobs a complete point has.
        objectives: The names of several objectives; of fewer than two the score decides.
        constraints: Such as `milliseconds <= 20`, of the means of a point.
        savings: What pruning saved; None where nothing was pruned.
        notes: Further sentences, such as one about points that were not trained.
        test: A sentence about the winner on test; empty until it was evaluated.
        test_metrics: Its metrics on test, by their names in MLflow.
        winner_is_elsewhere: Whether another project has its experiment, and says how it is on test.
        winner_experiment: The experiment with the evaluation of the winner; None for that of its training.
    """

    name: str
    command: str
    results: Sequence[JobResult]
    repetitions: int = 1
    objectives: tuple[str, ...] = ()
    constraints: tuple[str, ...] = ()
    savings: PruningSummary | None = None
    notes: tuple[str, ...] = ()
    test: str = ""
    test_metrics: Mapping[str, float] = field(default_factory=dict)
    winner_experiment: str | None = None
    winner_is_elsewhere: bool = False

    @cached_property
    def points(self) -> list[PointSummary]:
        """The points in their order."""
        jobs: dict[int, list[JobResult]] = {}
        for result in sorted(self.results, key=lambda row: (row.job.point, row.job.repetition)):
            jobs.setdefault(result.job.point, []).append(result)
        return [self._summarize_point(number, rows) for number, rows in jobs.items()]

    def _summarize_point(self, number: int, jobs: Sequence[JobResult]) -> PointSummary:
        point = PointSummary(number, tuple(jobs), self.repetitions)
        limits = [parse_constraint(text) for text in self.constraints]
        means = point.compute_means([limit.metric for limit in limits])
        broken = (
            limit.metric not in means or compute_violation(limit, means[limit.metric]) > 0 for limit in limits
        )
        return replace(point, is_feasible=not point.scores or not any(broken))

    @property
    def shown_command(self) -> str:
        """The command without the password of a database in it."""
        return hide_passwords(self.command)

    @property
    def has_front(self) -> bool:
        """Whether several objectives are weighed, so that there is a Pareto front instead of a best point."""
        return len(self.objectives) > 1

    @cached_property
    def candidates(self) -> list[PointSummary]:
        """The points that may be the best: complete ones that keep the constraints."""
        return [point for point in self.points if point.is_complete and point.is_feasible]

    @cached_property
    def best(self) -> list[PointSummary]:
        """The best point of each kind by mean, the first of equals; of several objectives the Pareto front.

        None of a kind whose points share one training.
        """
        kinds: dict[str, list[PointSummary]] = {}
        for point in self.candidates:
            kinds.setdefault(point.kind, []).append(point)
        different = [points for points in kinds.values() if not _share_training(points)]
        return [point for points in different for point in self._select_best(points)]

    def _select_best(self, points: Sequence[PointSummary]) -> list[PointSummary]:
        """Return the best of points of one kind, or their Pareto front."""
        if not self.objectives:
            return [max(points, key=lambda point: point.mean or 0.0)]
        front = find_pareto_front(points, self.objectives)
        return front if self.has_front else front[:1]

    @property
    def winner(self) -> PointSummary | None:
        """The only best point; None where there are several, or none."""
        return self.best[0] if len(self.best) == 1 and not self.has_front else None

    def get_experiment(self, point: PointSummary) -> str:
        """Return the experiment to apply for a point: of its first repetition, which has the base seed."""
        known = self.winner_experiment if point is self.winner else None
        return known or point.jobs[0].job.experiment

    def list_jobs(self, *statuses: str) -> list[JobResult]:
        """Return the jobs with one of these statuses, in their order."""
        return [row for row in sorted(self.results, key=lambda row: row.job.number) if row.status in statuses]


def describe_metric(result: JobResult) -> str:
    """Return task and metric of a result, such as `detect mAP50-95`."""
    return " ".join(word for word in (result.task, result.metric) if word)


def find_pareto_front(points: Sequence[PointSummary], objectives: Sequence[str]) -> list[PointSummary]:
    """Return the points that no other point is at least as good as in every objective, in their order."""
    values = {point.number: _orient_objectives(point, objectives) for point in points}
    known = [point for point in points if len(values[point.number]) == len(objectives)]

    def is_beaten(point: PointSummary) -> bool:
        own = values[point.number]
        others = (values[other.number] for other in known)
        return any(other != own and all(a >= b for a, b in zip(other, own, strict=True)) for other in others)

    return [point for point in known if not is_beaten(point)]


def _orient_objectives(point: PointSummary, objectives: Sequence[str]) -> list[float]:
    """Return the means of the objectives, each so that more is better."""
    means = point.compute_means(objectives)
    return [-value if is_minimized(name) else value for name, value in means.items()]


def group_equal_jobs(results: Sequence[JobResult]) -> list[list[JobResult]]:
    """Group the jobs that share one training: DVC restored it, since what differs changed no input of it."""
    found: dict[str, list[JobResult]] = {}
    for result in sorted(results, key=lambda row: row.job.number):
        if result.run_id and result.status in SCORED:
            found.setdefault(result.run_id, []).append(result)
    return [same for same in found.values() if len(same) > 1]


def _share_training(points: Sequence[PointSummary]) -> bool:
    """Return whether several points are one training, so that none of them is better than another."""
    results = [job for point in points for job in point.jobs]
    return len(points) > 1 and group_equal_jobs(results) == [sorted(results, key=lambda row: row.job.number)]


def get_override_key(override: str) -> str:
    """Return the key of an override, without its prefix: `+a.b=c` gives `a.b`."""
    return override.lstrip("+~").partition("=")[0]


def parse_overrides(overrides: Sequence[str]) -> dict[str, str]:
    """Return the value that each override sets its key to; `~KEY` deletes it."""
    values = {}
    for word in overrides:
        value = word.partition("=")[2]
        values[get_override_key(word)] = "(deleted)" if word.startswith("~") else value
    return values
