"""Find the point of a search space that has the configuration's own values: a search trains it first."""

from __future__ import annotations

import math
from typing import Any, Final, NamedTuple

from pipeline.compose.stage import ParamValues
from pipeline.core.errors import UserError
from pipeline.sweep.space.point_configs import PointConfigs
from pipeline.sweep.space.search_space import PointValues, SearchAxis

_STEP_TOLERANCE: Final = 1e-9
"""How far from a whole number of steps a value may be, in steps."""


class DefaultPoint(NamedTuple):
    """The point of a search space with the configuration's own values.

    Attributes:
        values: Its values; None if the space has no such point that can run.
        note: What the first point is, a sentence for the user.
    """

    values: PointValues | None
    note: str


def find_default_point(configs: PointConfigs) -> DefaultPoint:
    """Find the point that changes nothing in the configuration of the command without its axes.

    Args:
        configs: Of the search space.
    """
    space = configs.space
    try:
        own = configs.compose_words(space.fixed)
    except UserError:  # such as a value that only an axis gives
        return DefaultPoint(None, "no configuration without the axes is complete: the first point is drawn")
    values = {axis.key: _find_own_value(configs, axis, own) for axis in space.axes}
    missing = next((key for key, value in values.items() if value is None), None)
    if missing:
        return DefaultPoint(
            None, f"the configuration's {missing} is not among the sweep's values: the first point is drawn"
        )
    point = {key: value for key, value in values.items() if value is not None}
    if configs.find_error(point) is not None or configs.compose(point) != own:
        return DefaultPoint(None, "the configuration's own values cannot run: the first point is drawn")
    return DefaultPoint(point, "the first point is the configuration itself")


def _find_own_value(configs: PointConfigs, axis: SearchAxis, own: ParamValues) -> str | int | float | None:
    """Return the value of an axis that changes nothing; None if it has none."""
    if axis.choices:
        return next((text for text in axis.choices if _changes_nothing(configs, axis, text, own)), None)
    value: Any = own
    for word in axis.key.lstrip("+").split("."):
        value = value.get(word) if isinstance(value, dict) else None
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return _convert_number(axis, value) if is_number else None


def _changes_nothing(configs: PointConfigs, axis: SearchAxis, text: str, own: ParamValues) -> bool:
    try:
        return configs.compose_words((*configs.space.fixed, f"{axis.key}={text}")) == own
    except UserError:  # such as a choice that needs the value of another axis
        return False


def _convert_number(axis: SearchAxis, value: int | float) -> int | float | None:
    """Return a number as a value of an interval; None if it is none of its values."""
    if not axis.low <= value <= axis.high or (axis.integer and value != int(value)):
        return None
    steps = (value - axis.low) / axis.step if axis.step else 0.0
    if not math.isclose(steps, round(steps), abs_tol=_STEP_TOLERANCE, rel_tol=0.0):
        return None
    return int(value) if axis.integer else float(value)
