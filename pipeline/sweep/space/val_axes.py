"""Axes that decide which images are val, or for which task: scores of their values cannot be compared."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from pipeline.core.errors import UserError
from pipeline.sweep.settings import SamplerName, SweepSettings
from pipeline.sweep.space.job_configs import JobConfigs
from pipeline.sweep.space.search_space import SearchAxis, SearchSpace

_DATA: Final = "data"
_EXPERIMENT: Final = "experiment"
"""Its files may choose the data, too."""
_SAME_VAL_KEYS: Final = (
    *("epochs", "fraction", "fraction_seed", "imgsz", "on_leak", "samples"),
    *("unlabelled_source", "unlabelled_share"),
)
"""Keys of conf/data that do not decide which images are val."""
_LEARNING_SAMPLERS: Final[tuple[SamplerName, ...]] = ("tpe", "gp", "cmaes")
"""They propose points by the scores of others."""


def check_val_axes(space: SearchSpace, sampler: SamplerName, settings: SweepSettings) -> list[str]:
    """Return a sentence for the user where the values of an axis have other val images, or another task.

    Args:
        space: The search space, without an axis of all folds.
        sampler: What chooses the points; never auto.
        settings: `pruner` is used.

    Raises:
        UserError: A pruner or a sampler would compare the scores of such points.
    """
    keys = _find_val_axes(space)
    if not keys:
        return []
    reason = f"the values of {', '.join(keys)} may be scored on different val images, or as different tasks"
    if settings.pruner != "none":
        raise UserError(
            f"the command: sweep.pruner={settings.pruner} ends trainings by the scores of other points, and "
            f"{reason}: set sweep.pruner=none, or run one sweep for each value"
        )
    if sampler in _LEARNING_SAMPLERS:
        raise UserError(
            f"the command: sweep.sampler={sampler} proposes points by the scores of others, and {reason}: "
            f"set sweep.sampler={'grid' if space.is_finite else 'random'}, or run one sweep for each value"
        )
    return [f"{reason}: compare them with care"]


def _find_val_axes(space: SearchSpace) -> list[str]:
    """Return the keys of the axes that decide which images are val."""
    return [
        key
        for axis in space.axes
        if (key := axis.key.lstrip("+")) == _DATA
        or (key.startswith(f"{_DATA}.") and key.removeprefix(f"{_DATA}.") not in _SAME_VAL_KEYS)
        or (key == _EXPERIMENT and _changes_data(space, axis))
    ]


def _changes_data(space: SearchSpace, axis: SearchAxis) -> bool:
    """Return whether the choices of a group have other val images, beside the first choices of the others."""
    others = [f"{each.key}={each.choices[0]}" for each in space.axes if each.choices and each != axis]
    configs = JobConfigs()
    try:
        found = [
            configs.compose([*space.fixed, *others, f"{axis.key}={choice}"])[_DATA] for choice in axis.choices
        ]
    except UserError:  # `plan_space` says which point cannot be composed
        return False
    return any(_select_val_values(values) != _select_val_values(found[0]) for values in found)


def _select_val_values(data: Any) -> Sequence[tuple[str, Any]]:
    return sorted((key, value) for key, value in data.items() if key not in _SAME_VAL_KEYS)
