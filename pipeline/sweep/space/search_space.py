"""The search space of a sweep, as its overrides spell it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pipeline.core.config_diff import shorten_keys, shorten_value

PointValues = Mapping[str, str | int | float]
"""A value for each axis, by the axis's key. Of an axis with choices it is the text of one of them."""


@dataclass(frozen=True)
class SearchAxis:
    """One key, or one group of conf/, with the values that a sweep may give it.

    Args:
        key: As Hydra writes the key of an override, such as `finetune.lr0`, `augment` or `+extra.key`.
        choices: The texts of its values, in the order typed; empty for an interval.
        low: The smallest value of an interval.
        high: The largest value of an interval.
        log: Whether the interval is searched on a logarithmic scale.
        step: The distance of the values of an interval; None for any value between its ends.
        integer: Whether its values are integers.
    """

    key: str
    choices: tuple[str, ...] = ()
    low: float = 0.0
    high: float = 0.0
    log: bool = False
    step: float | None = None
    integer: bool = False


@dataclass(frozen=True)
class SearchSpace:
    """The overrides that all jobs share, and the axes.

    Args:
        fixed: Overrides of all jobs.
        axes: In the order typed.
    """

    fixed: tuple[str, ...]
    axes: tuple[SearchAxis, ...]

    @property
    def is_finite(self) -> bool:
        """Whether every axis has choices, so that there is a last combination."""
        return all(axis.choices for axis in self.axes)

    def build_overrides(self, point: PointValues) -> tuple[str, ...]:
        """Return the overrides of a point, those of all jobs first."""
        return (*self.fixed, *(f"{axis.key}={format_value(point[axis.key])}" for axis in self.axes))

    def build_label(self, point: PointValues) -> str:
        """Return what differs in the sweep, such as `lr0=0.001 augment=light`, for names and tables."""
        names = shorten_keys([axis.key for axis in self.axes])
        pairs = zip(names, self.axes, strict=True)
        return " ".join(f"{name}={shorten_value(point[axis.key])}" for name, axis in pairs)


def format_value(value: str | int | float) -> str:
    """Return a value as an override has it; a float keeps all its digits."""
    return value if isinstance(value, str) else repr(value)
