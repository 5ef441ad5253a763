"""A cross-validation in the command of a sweep: its folds are repetitions of each point."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from pipeline.compose.override_keys import parse_override_value
from pipeline.core.errors import UserError
from pipeline.sweep.settings import SweepSettings
from pipeline.sweep.space.job_configs import JobConfigs
from pipeline.sweep.space.parse_axes import ParsedAxes
from pipeline.sweep.space.search_space import SearchAxis, SearchSpace

FOLD_KEY: Final = "data.fold"
NUMBER_KEY: Final = "data.folds"
SEED_KEY: Final = "seed"


class FoldPlan(NamedTuple):
    """Which axes are left, and on how many folds each point is trained.

    Attributes:
        parsed: The search space without an axis of all folds.
        folds: How many folds; None for no cross-validation.
    """

    parsed: ParsedAxes
    folds: int | None


def plan_folds(parsed: ParsedAxes, settings: SweepSettings) -> FoldPlan:
    """Turn an axis of all folds, `data.folds=5 data.fold=range(0,5)`, into repetitions as of sweep.folds=5.

    Raises:
        UserError: The number of folds is not given, or given twice and not the same, or folds or seeds are
            axes beside sweep.folds and sweep.seeds.
    """
    axes = {axis.key.lstrip("+"): axis for axis in parsed.space.axes}
    number = _read_number(parsed.space.fixed)
    _refuse_repetition_axes(parsed, axes, settings)
    if FOLD_KEY in axes and NUMBER_KEY not in axes:
        number = _compose_number(parsed.space) if number is None else number
        if number is None:
            raise UserError(
                f"the command: {_get_text(parsed, axes[FOLD_KEY])} needs the number of folds: "
                "add data.folds=5 for a cross-validation"
            )
        if _names_all(axes[FOLD_KEY], number):
            return FoldPlan(_remove_axis(parsed, axes[FOLD_KEY]), number)
    if settings.folds is not None and number not in {None, settings.folds}:
        raise UserError(
            f"the command: data.folds={number} and sweep.folds={settings.folds} differ: give one of them"
        )
    return FoldPlan(parsed, settings.folds)


def _refuse_repetition_axes(parsed: ParsedAxes, axes: dict[str, SearchAxis], settings: SweepSettings) -> None:
    for key, is_set, setting in (
        (FOLD_KEY, settings.folds is not None, f"sweep.folds={settings.folds}"),
        (NUMBER_KEY, settings.folds is not None, f"sweep.folds={settings.folds}"),
        (SEED_KEY, settings.seeds > 1, f"sweep.seeds={settings.seeds}"),
    ):
        if is_set and key in axes:
            text = _get_text(parsed, axes[key])
            raise UserError(f"the command: {text} and {setting} both repeat trainings: give one of them")
    if settings.folds is not None and any(
        word.lstrip("+").startswith(f"{FOLD_KEY}=") for word in parsed.space.fixed
    ):
        raise UserError(f"the command: sweep.folds={settings.folds} trains all folds: leave {FOLD_KEY} out")


def _read_number(fixed: Sequence[str]) -> int | None:
    words = [word.lstrip("+") for word in fixed if word.lstrip("+").startswith(f"{NUMBER_KEY}=")]
    value = parse_override_value(words[-1]) if words else None
    return value if isinstance(value, int) else None


def _compose_number(space: SearchSpace) -> int | None:
    """Return the number of folds that conf/ gives, beside the first choices of the axes."""
    others = [axis for axis in space.axes if axis.choices and axis.key.lstrip("+") != FOLD_KEY]
    words = [*space.fixed, *(f"{axis.key}={axis.choices[0]}" for axis in others)]
    number: int | None = JobConfigs().compose(words)["data"].get("folds")
    return number


def _names_all(axis: SearchAxis, number: int) -> bool:
    if axis.choices:
        return sorted(axis.choices) == sorted(map(str, range(number)))
    return axis.integer and (axis.low, axis.high, axis.step) == (0, number - 1, 1)


def _remove_axis(parsed: ParsedAxes, axis: SearchAxis) -> ParsedAxes:
    place = parsed.space.axes.index(axis)
    left = (*parsed.space.axes[:place], *parsed.space.axes[place + 1 :])
    texts = (*parsed.texts[:place], *parsed.texts[place + 1 :])
    return parsed._replace(space=SearchSpace(parsed.space.fixed, left), texts=texts)


def _get_text(parsed: ParsedAxes, axis: SearchAxis) -> str:
    return parsed.texts[parsed.space.axes.index(axis)]
