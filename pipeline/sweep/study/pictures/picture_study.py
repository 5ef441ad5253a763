"""Copies of a study in memory, made to be drawn: short names of axes, one kind of score, no duplicates."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import optuna
from optuna.trial import FrozenTrial, TrialState, create_trial

from pipeline.core.config_diff import shorten_keys
from pipeline.sweep.space.search_space import SearchSpace
from pipeline.sweep.study.database.store import Direction
from pipeline.sweep.study.objectives import is_minimized
from pipeline.sweep.study.points import StudyPoint
from pipeline.sweep.study.sampling.distributions import build_distributions


class JobCurve(NamedTuple):
    """The val metric of a job over its epochs.

    Attributes:
        label: The number of the job, and what differs in it.
        values: The val metric by epoch, from 1.
        pruned: Whether it was ended early.
    """

    label: str
    values: Mapping[int, float]
    pruned: bool


def select_drawn_points(points: Sequence[StudyPoint]) -> list[StudyPoint]:
    """Return the points with the most common kind of score, and those that have no score."""
    kinds = Counter(point.kind for point in points if point.status == "complete")
    if not kinds:
        return list(points)
    [(kind, _)] = kinds.most_common(1)
    return [point for point in points if point.status != "complete" or point.kind == kind]


def copy_points(points: Sequence[StudyPoint], space: SearchSpace, objectives: Sequence[str]) -> optuna.Study:
    """Copy the complete and the pruned points into a study in memory; each keeps its number.

    Args:
        points: The points.
        space: Their search space.
        objectives: Names of metrics; the empty one is maximized.
    """
    directions: list[Direction] = ["minimize" if is_minimized(name) else "maximize" for name in objectives]
    study = optuna.create_study(directions=directions, sampler=optuna.samplers.RandomSampler(seed=0))
    limited = any(not point.feasible for point in points)
    numbered = {point.number: point for point in points}
    for number in range(max(numbered, default=-1) + 1):
        point = numbered.get(number)
        drawn = point if point is not None and point.status == "complete" and point.objectives else None
        study.add_trial(
            create_trial(state=TrialState.FAIL)
            if drawn is None
            else _copy_point(drawn, space, limited=limited)
        )
    return study


def list_job_curves(points: Sequence[StudyPoint], space: SearchSpace, repetitions: int) -> list[JobCurve]:
    """Return the curves of all jobs that reported an epoch."""
    return [
        JobCurve(
            f"{point.number * repetitions + repetition}: {space.build_label(point.values)}",
            dict(sorted(values.items())),
            point.status == "pruned",
        )
        for point in points
        for repetition, values in point.curves.items()
        if values
    ]


def _copy_point(point: StudyPoint, space: SearchSpace, *, limited: bool) -> FrozenTrial:
    """Copy a point; where there are limits, each point needs a value of them to count as within them."""
    names = dict(
        zip((axis.key for axis in space.axes), shorten_keys([axis.key for axis in space.axes]), strict=True)
    )
    distributions = build_distributions(space)
    return create_trial(
        values=list(point.objectives),
        params={names[key]: value for key, value in point.values.items()},
        distributions={names[key]: distribution for key, distribution in distributions.items()},
        constraints={"limit": -1.0 if point.feasible else 1.0} if limited else None,
    )
