"""Axes of a search space as Optuna's distributions, and back."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Mapping

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import Trial

from pipeline.core.errors import UserError
from pipeline.sweep.space.search_space import PointValues, SearchAxis, SearchSpace


def build_distributions(space: SearchSpace) -> dict[str, BaseDistribution]:
    """Return the distribution of each axis, by its key, in the order typed.

    Raises:
        UserError: An axis that Optuna cannot search, such as log with a step.
    """
    return {axis.key: build_distribution(axis) for axis in space.axes}


def build_distribution(axis: SearchAxis) -> BaseDistribution:
    """Return the distribution of an axis.

    Raises:
        UserError: Optuna cannot search it, such as log with a step.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the last step may end before the interval does
            return _build(axis)
    except ValueError as error:
        raise UserError(f"{axis.key}: {' '.join(str(error).split())}") from None


def list_grid_points(space: SearchSpace) -> list[PointValues]:
    """Return all combinations of choices, in Hydra's order: the last axis changes fastest."""
    keys = [axis.key for axis in space.axes]
    texts = itertools.product(*(axis.choices for axis in space.axes))
    return [dict(zip(keys, chosen, strict=True)) for chosen in texts]


def select_values(space: SearchSpace, params: Mapping[str, str | int | float]) -> PointValues:
    """Return the values of a trial in the order of the axes."""
    return {axis.key: params[axis.key] for axis in space.axes if axis.key in params}


def suggest_value(trial: Trial, name: str, distribution: BaseDistribution) -> None:
    """Have the sampler choose the value of an axis, unless the trial has one."""
    if isinstance(distribution, CategoricalDistribution):
        trial.suggest_categorical(name, distribution.choices)
    elif isinstance(distribution, IntDistribution):
        trial.suggest_int(
            name, distribution.low, distribution.high, step=distribution.step, log=distribution.log
        )
    elif isinstance(distribution, FloatDistribution):
        trial.suggest_float(
            name, distribution.low, distribution.high, step=distribution.step, log=distribution.log
        )


def _build(axis: SearchAxis) -> BaseDistribution:
    if axis.choices:
        return CategoricalDistribution(axis.choices)
    if axis.integer:
        step = 1 if axis.step is None else int(axis.step)
        return IntDistribution(int(axis.low), int(axis.high), log=axis.log, step=step)
    return FloatDistribution(axis.low, axis.high, log=axis.log, step=axis.step)
