"""Plan a sweep before its first job: the search space of its command, each combination of values checked."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from pipeline.compose.stage import ParamValues
from pipeline.config.key_use import find_reason_of_no_change
from pipeline.core.errors import UserError
from pipeline.core.text import format_count
from pipeline.sweep.settings import SamplerName, SweepSettings
from pipeline.sweep.space.checked_points import CheckedPoints, Places, check_points
from pipeline.sweep.space.default_point import find_default_point
from pipeline.sweep.space.fold_axis import plan_folds
from pipeline.sweep.space.parse_axes import MAX_VALUES, ParsedAxes, parse_axes
from pipeline.sweep.space.point_configs import PointConfigs
from pipeline.sweep.space.search_space import PointValues, SearchSpace
from pipeline.sweep.space.val_axes import check_val_axes

MAX_LISTED: Final = 10
"""Combinations that a message lists; the others are counted."""


class SpacePlan(NamedTuple):
    """The search space of a sweep, checked.

    Attributes:
        space: The overrides of all jobs, and the axes.
        sampler: What chooses the points; never auto.
        points: Of a grid its points in Hydra's order: those that can run, and one of those that give the same
            results; None for other samplers.
        first: The configuration of the first point that can run.
        folds: On how many folds each point is trained; None for no cross-validation.
        notes: Sentences for the user.
        configs: Composes and checks sampled points.
        start: The point that a sampler begins with; None: it chooses the first one, too.
    """

    space: SearchSpace
    sampler: SamplerName
    points: tuple[PointValues, ...] | None
    first: ParamValues
    folds: int | None
    notes: tuple[str, ...]
    configs: PointConfigs
    start: PointValues | None = None


def plan_space(overrides: Sequence[str], settings: SweepSettings) -> SpacePlan:
    """Read and check the search space of a sweep; write nothing.

    All combinations of a grid are composed and checked. Of an interval its ends and its middle are checked,
    beside all choices.

    Args:
        overrides: Of the command and of the prepared sweep that it names.
        settings: Of the sweep.

    Raises:
        UserError: A key is unknown or has no effect, a value can run in no job, a pruner or a sampler would
            compare scores on different val images, or, unless `settings.impossible` is skip, a combination of
            values cannot run.
    """
    parsed = parse_axes(overrides, settings)
    folds = plan_folds(parsed, settings)
    parsed = folds.parsed
    val_notes = check_val_axes(parsed.space, parsed.sampler, settings)
    configs = PointConfigs(parsed.space)
    if parsed.sampler == "grid" and math.prod(len(axis.choices) for axis in parsed.space.axes) > MAX_VALUES:
        raise UserError(
            f"the command: this grid has more than {MAX_VALUES:,} combinations: leave values out, or let "
            "sweep.sampler=random or tpe choose sweep.trials of them"
        )
    checked = check_points(configs)
    _refuse_idle_values(parsed, checked)
    for axis in range(len(parsed.space.axes)):
        _refuse_equal_values(parsed, configs, checked, axis)
    notes = [*val_notes, *_handle_impossible(parsed.space, checked, settings)]
    distinct, repeated = _select_distinct(checked)
    first = configs.compose(checked.get_point(parsed.space, distinct[0]))
    if parsed.sampler != "grid":
        start, note = find_default_point(configs)
        every = (*notes, note)
        return SpacePlan(parsed.space, parsed.sampler, None, first, folds.folds, every, configs, start)
    notes += _describe_repeated(parsed.space, checked, repeated)
    points = tuple(checked.get_point(parsed.space, places) for places in distinct)
    return SpacePlan(parsed.space, parsed.sampler, points, first, folds.folds, tuple(notes), configs)


def find_ineffective_axes(space: SearchSpace, task: str, configs: PointConfigs | None = None) -> list[str]:
    """Return a sentence for each axis that has no effect where the images serve this task.

    With data.task=auto the task is known only when the first job has prepared the images.

    Args:
        space: The search space.
        task: The task, such as detect.
        configs: Of the space, where there are some already.
    """
    configs = configs or PointConfigs(space)
    checked = check_points(configs, task)
    return [
        f"{axis.key} decides no result where the task of the images is {task}: leave it out"
        for number, axis in enumerate(space.axes)
        if not checked.has_effect(configs, number)
    ]


def _refuse_idle_values(parsed: ParsedAxes, checked: CheckedPoints) -> None:
    """Refuse a space in which no job can run, or a value that no job can run with."""
    if not checked.keys:
        raise UserError(f"the command: no job of this sweep can run: {next(iter(checked.errors.values()))}")
    idle = checked.list_idle_levels() if checked.complete else []
    for number, level, error in idle[:1]:
        axis, value = parsed.space.axes[number], checked.levels[number][level]
        advice = (
            "correct it or leave it out"
            if axis.choices
            else f"write {axis.key}=range(FIRST,END,STEP), or A,B,C"
        )
        raise UserError(f"the command: no job with {axis.key}={value} can run: {error}; {advice}")


def _refuse_equal_values(
    parsed: ParsedAxes, configs: PointConfigs, checked: CheckedPoints, axis: int
) -> None:
    """Refuse an axis with two values that give the same results, whatever the other axes say."""
    pair = checked.find_equal_levels(axis)
    if pair is None or checked.differ_elsewhere(configs, axis, pair):
        return
    points = [checked.get_point(parsed.space, places) for places in pair]
    key, text = parsed.space.axes[axis].key, parsed.texts[axis]
    first, second = (f"{key}={point[key]}" for point in points)
    reason = find_reason_of_no_change(*map(configs.compose, points))
    raise UserError(
        f"the command: {text} changes nothing from {first} to {second}: {reason}; "
        "name each value once, and only keys that the configuration uses"
    )


def _handle_impossible(space: SearchSpace, checked: CheckedPoints, settings: SweepSettings) -> list[str]:
    """Refuse combinations that cannot run, or with `sweep.impossible=skip` tell of them."""
    if not checked.errors:
        return []
    count = f"{len(checked.errors):,} of {len(checked.errors) + len(checked.keys):,}"
    found = [
        f"{space.build_label(checked.get_point(space, places))}: {error}"
        for places, error in list(checked.errors.items())[:MAX_LISTED]
    ]
    more = [f"and {len(checked.errors) - MAX_LISTED:,} more"] if len(checked.errors) > MAX_LISTED else []
    if settings.impossible == "skip":
        return [f"{count} combinations of values cannot run and are left out: {found[0]}"]
    raise UserError(
        f"the command: {count} combinations of values cannot run: correct the values, or leave these "
        "combinations out with sweep.impossible=skip",
        *found,
        *more,
    )


def _select_distinct(checked: CheckedPoints) -> tuple[list[Places], dict[Places, Places]]:
    """Return the first of the combinations that give the same results, and which that is for the others."""
    first: dict[str, Places] = {}
    repeated = {}
    for places, key in checked.keys.items():
        if first.setdefault(key, places) != places:
            repeated[places] = first[key]
    return list(first.values()), repeated


def _describe_repeated(
    space: SearchSpace, checked: CheckedPoints, repeated: dict[Places, Places]
) -> Iterable[str]:
    if not repeated:
        return
    pairs = [
        " is ".join(space.build_label(checked.get_point(space, places)) for places in pair)
        for pair in list(repeated.items())[:MAX_LISTED]
    ]
    number = format_count(len(repeated), "combination differs", "combinations differ")
    more = f"; and {len(repeated) - MAX_LISTED:,} more" if len(repeated) > MAX_LISTED else ""
    yield f"{number} from others only in keys without effect there, and run once: {'; '.join(pairs)}{more}"
