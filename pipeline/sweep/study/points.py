"""The points of a study as they are now: values, results, means; which are the best."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import stdev
from typing import Final, Literal, NamedTuple

from optuna.trial import FrozenTrial, TrialState

from pipeline.sweep.job import JobResult
from pipeline.sweep.space.search_space import PointValues, SearchSpace
from pipeline.sweep.study.database import records
from pipeline.sweep.study.objectives import is_minimized
from pipeline.sweep.study.sampling.distributions import select_values

PointStatus = Literal[
    "complete", "pruned", "failed", "waiting", "running", "infeasible", "duplicate", "unrated"
]
"""`infeasible`: it cannot be trained. `duplicate`: it took the result of an equal point, or waits for it.
`unrated`: trained, but without the metric that it is judged by."""

_UNCOUNTED: Final[frozenset[PointStatus]] = frozenset({"infeasible", "duplicate"})

_DONE: Final[frozenset[PointStatus]] = frozenset({"complete", "pruned", "unrated"})


class StudyPoint(NamedTuple):
    """A point of a study.

    Attributes:
        number: Its number, from 0.
        values: The value of each axis.
        status: See `PointStatus`.
        results: The last result of each repetition that ended, in their order.
        objectives: The means over all repetitions, one for each objective; empty unless it is complete.
        feasible: Whether the constraints hold; True where there are none.
        spread: The standard deviation (n - 1) of the first objective over repetitions; None for fewer than 2.
        duplicate_of: The number of the point with the same training; None if it is no duplicate.
        reason: Why it is infeasible or unrated, or why a job of it failed or was pruned; None otherwise.
        curves: The val metric of each epoch, from 1, by repetition.
        epochs: How many epochs a training of it has at most; None where it is not known.
    """

    number: int
    values: PointValues
    status: PointStatus
    results: tuple[JobResult, ...] = ()
    objectives: tuple[float, ...] = ()
    feasible: bool = True
    spread: float | None = None
    duplicate_of: int | None = None
    reason: str | None = None
    curves: Mapping[int, Mapping[int, float]] = {}
    epochs: int | None = None

    @property
    def counts(self) -> bool:
        """Whether it is one of the points of `sweep.trials`."""
        return self.status not in _UNCOUNTED

    @property
    def kind(self) -> tuple[str | None, str | None]:
        """Task and metric: only points of one kind can be compared."""
        return (self.results[0].task, self.results[0].metric) if self.results else (None, None)


def read_points(
    trials: Sequence[FrozenTrial], space: SearchSpace, objectives: Sequence[str]
) -> list[StudyPoint]:
    """Return the points of a study, those without values yet left out.

    Args:
        trials: All trials.
        space: The search space.
        objectives: Names of metrics; an empty name is the metric that ranks the jobs.
    """
    keys = {axis.key for axis in space.axes}
    return [_read_point(trial, space, objectives[0]) for trial in trials if keys <= trial.params.keys()]


def count_points(trials: Sequence[FrozenTrial]) -> int:
    """Count the points that are trained, were trained, or will be; those of dead processes too."""
    return sum(_read_status(trial) not in _UNCOUNTED for trial in trials)


def count_done(points: Sequence[StudyPoint]) -> int:
    """Count the points that were trained, and need no further training."""
    return sum(point.status in _DONE for point in points)


def select_best_points(points: Sequence[StudyPoint], objectives: Sequence[str]) -> list[StudyPoint]:
    """Return the best point of each kind; with several objectives the Pareto front of each kind.

    A point is never the best with a failed or missing repetition, beyond a constraint, or as a duplicate.
    The first of equals is the best.
    """
    able = [point for point in points if point.status == "complete" and point.feasible]
    kinds = list(dict.fromkeys(point.kind for point in able))
    signs = [-1.0 if is_minimized(name) else 1.0 for name in objectives]
    found: list[StudyPoint] = []
    for kind in kinds:
        same = [point for point in able if point.kind == kind]
        front = [point for point in same if not any(_dominates(other, point, signs) for other in same)]
        found += front[:1] if len(objectives) == 1 else front
    return found


def _dominates(one: StudyPoint, other: StudyPoint, signs: Sequence[float]) -> bool:
    pairs = list(zip(signs, one.objectives, other.objectives, strict=True))
    not_worse = all(sign * a >= sign * b for sign, a, b in pairs)
    return not_worse and any(sign * a > sign * b for sign, a, b in pairs)


def _read_point(trial: FrozenTrial, space: SearchSpace, objective: str) -> StudyPoint:
    results = tuple(records.read_results(trial).values())
    status = _read_status(trial)
    complete = trial.state == TrialState.COMPLETE
    return StudyPoint(
        number=trial.number,
        values=select_values(space, trial.params),
        status=status,
        results=results,
        objectives=tuple(trial.values or ()) if complete else (),
        feasible=all(value <= 0 for value in trial.constraints.values()),
        spread=_compute_spread(results, objective) if status == "complete" else None,
        duplicate_of=trial.user_attrs.get(records.DUPLICATE),
        reason=_find_reason(trial, results),
        curves=records.read_curves(trial),
        epochs=trial.user_attrs.get(records.EPOCHS),
    )


def _read_status(trial: FrozenTrial) -> PointStatus:
    named: dict[str, PointStatus] = {
        records.DUPLICATE: "duplicate",
        records.INFEASIBLE: "infeasible",
        records.UNRATED: "unrated",
    }
    for name, status in named.items():
        if name in trial.user_attrs:
            return status
    if trial.state == TrialState.WAITING:
        return "failed" if records.FAILED in trial.user_attrs else "waiting"
    states: dict[TrialState, PointStatus] = {
        TrialState.COMPLETE: "complete",
        TrialState.PRUNED: "pruned",
        TrialState.RUNNING: "running",
    }
    return states.get(trial.state, "infeasible")


def _compute_spread(results: Sequence[JobResult], name: str) -> float | None:
    values = [result.metrics.get(name) if name else result.score for result in results]
    known = [value for value in values if value is not None]
    return stdev(known) if len(known) > 1 else None


def _find_reason(trial: FrozenTrial, results: Sequence[JobResult]) -> str | None:
    for name in (records.INFEASIBLE, records.UNRATED):
        if name in trial.user_attrs:
            return str(trial.user_attrs[name])
    return next((result.reason for result in results if result.reason), None)
