"""Check that sampler, pruner, objectives and constraints fit the space and each other. Without Optuna."""

from __future__ import annotations

from typing import Final, Literal

from pipeline.core.errors import UserError
from pipeline.core.metric_names import MAIN_METRICS
from pipeline.sweep.job import JobStatus
from pipeline.sweep.settings import PrunerName, SamplerName, SweepSettings
from pipeline.sweep.space.search_space import SearchSpace
from pipeline.sweep.study.objectives import parse_constraint, require_metric

DEFAULT_POINTS: Final = 20
"""Points of a sweep without a last combination, where sweep.trials is not set."""
WILCOXON_THRESHOLD: Final = 0.15
"""Points are pruned that are so far behind by chance in at most this share of cases: 3 of 3 are 0.125."""
JudgedRepetitions = Literal["none", "first", "each"]
_WILCOXON_REPETITIONS: Final = 4
"""Fewer could not be pruned: 3 are needed to decide, and one has to be left to be saved."""
FINISHED: Final[frozenset[JobStatus]] = frozenset({"trained", "restored", "pruned"})
"""The states in which a job has a result: it does not run again."""


def resolve_sampler(space: SearchSpace, settings: SweepSettings) -> SamplerName:
    """Return the sampler: where it is `auto`, grid if there is a last combination, else tpe."""
    if settings.sampler != "auto":
        return settings.sampler
    return "grid" if space.is_finite else "tpe"


def get_judged_repetitions(pruner: PrunerName) -> JudgedRepetitions:
    """Return which repetitions of a point a pruner judges."""
    if pruner == "none":
        return "none"
    return "each" if pruner == "wilcoxon" else "first"


def check_study_settings(space: SearchSpace, settings: SweepSettings) -> None:
    """Check the settings of a sweep before anything runs.

    Raises:
        UserError: The first setting that does not fit, what is wrong, and what to do.
    """
    for name in settings.objectives:
        require_metric(name, "sweep.objectives")
    if len(set(settings.objectives)) < len(settings.objectives):
        raise UserError("sweep.objectives names a metric twice")
    for text in settings.constraints:
        parse_constraint(text)
    _check_sampler(space, settings)
    _check_pruner(settings)


def _check_sampler(space: SearchSpace, settings: SweepSettings) -> None:
    sampler = resolve_sampler(space, settings)
    intervals = [axis.key for axis in space.axes if not axis.choices]
    choices = [axis.key for axis in space.axes if axis.choices]
    if sampler == "grid" and intervals:
        raise UserError(
            f"sampler=grid needs choices, and {intervals[0]} is an interval: set sweep.sampler=tpe"
        )
    if sampler == "cmaes" and choices:
        raise UserError(
            f"sampler=cmaes searches intervals of numbers alone, and {choices[0]} has choices: "
            f"write it as interval(...), or set sweep.sampler=tpe"
        )
    if sampler == "cmaes" and len(settings.objectives) > 1:
        raise UserError("sampler=cmaes searches for one objective: name one, or set sweep.sampler=tpe")
    if sampler == "cmaes" and settings.constraints:
        raise UserError("sampler=cmaes does not know constraints: leave them out, or set sweep.sampler=tpe")


def _check_pruner(settings: SweepSettings) -> None:
    if settings.pruner == "none":
        return
    if len(settings.objectives) > 1:
        raise UserError(
            f"pruner={settings.pruner} judges by one metric: set sweep.pruner=none, or one objective"
        )
    others = [name for name in settings.objectives if name not in MAIN_METRICS]
    if others and settings.pruner != "wilcoxon":
        raise UserError(
            f"pruner={settings.pruner} judges by the main metric after each epoch, not by {others[0]}: "
            "set sweep.pruner=none, or leave sweep.objectives out"
        )
    repetitions = settings.seeds * (settings.folds or 1)
    if settings.pruner == "wilcoxon" and repetitions < _WILCOXON_REPETITIONS:
        raise UserError(
            f"pruner=wilcoxon decides after {_WILCOXON_REPETITIONS - 1} repetitions of a point: "
            f"set sweep.seeds or sweep.folds to {_WILCOXON_REPETITIONS} or more, or sweep.pruner=median"
        )
