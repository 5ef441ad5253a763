"""Check combinations of a search space: which can run, and which give the same results."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import combinations, islice, product, zip_longest
from random import Random
from typing import Final, NamedTuple

from pipeline.config.key_use import compute_effective_key
from pipeline.sweep.space.point_configs import PointConfigs, find_config_error
from pipeline.sweep.space.search_space import PointValues, SearchAxis, SearchSpace

MAX_CHECKED: Final = 20_000
"""Combinations that are checked before the first job, where these are all."""

MAX_PAIRS: Final = 2_000
"""Combinations that are checked of a larger space."""

_RANDOM_CONTEXTS: Final = 500
"""Combinations of a large space that two values of an axis are compared beside."""

Levels = Sequence[Sequence[str | int | float]]
"""Values of each axis: all choices; of an interval its middle, its ends, and one step from the first."""

Places = tuple[int, ...]
"""Which of its levels each axis has in a combination."""


class CheckedPoints(NamedTuple):
    """The combinations that were checked.

    Attributes:
        levels: The values of each axis.
        complete: Whether these are all combinations of choices, beside the middle of each interval, and each
            level of one interval beside them.
        keys: What those that can run give the same results by, in the order of a grid.
        errors: Why the others cannot run.
        task: The task of the images where it is known.
    """

    levels: Levels
    complete: bool
    keys: dict[Places, str]
    errors: dict[Places, str]
    task: str | None = None

    def get_point(self, space: SearchSpace, places: Places) -> PointValues:
        """Return the values of a combination."""
        pairs = zip(space.axes, self.levels, places, strict=True)
        return {axis.key: values[place] for axis, values, place in pairs}

    def find_equal_levels(self, axis: int) -> tuple[Places, Places] | None:
        """Find two values of an axis that give the same results, whatever the values of the other axes are.

        Returns:
            Two combinations that differ in these values alone; None if each value of the axis has an effect.
        """
        signatures = self._list_signatures(axis)
        first: dict[tuple[str | None, ...], int] = {}
        for level, signature in enumerate(signatures):
            if any(signature) and first.setdefault(signature, level) != level:
                return self._find_pair(axis, first[signature], level)
        return None

    def has_effect(self, configs: PointConfigs, axis: int) -> bool:
        """Return whether two values of an axis give different results beside some values of the others."""
        if len(set(filter(any, self._list_signatures(axis)))) > 1:
            return True
        pair = self.find_equal_levels(axis)
        return pair is None or self.differ_elsewhere(configs, axis, pair)

    def _list_signatures(self, axis: int) -> list[tuple[str | None, ...]]:
        """List for each level of an axis its keys, beside the same values of the other axes in turn."""
        found: list[list[str | None]] = [[] for _ in self.levels[axis]]
        for places in self._list_contexts(axis):
            for level, keys in enumerate(found):
                keys.append(self.keys.get((*places[:axis], level, *places[axis + 1 :])))
        return [tuple(keys) for keys in found]

    def _list_contexts(self, axis: int) -> Iterator[Places]:
        """List the combinations with the axis's first level, of which all other levels were checked, too."""
        count = len(self.levels[axis])
        for places in (*self.keys, *self.errors):
            if places[axis] == 0 and all(
                variant in self.keys or variant in self.errors
                for variant in ((*places[:axis], level, *places[axis + 1 :]) for level in range(1, count))
            ):
                yield places

    def _find_pair(self, axis: int, first: int, second: int) -> tuple[Places, Places]:
        for places in self.keys:
            other = (*places[:axis], second, *places[axis + 1 :])
            if places[axis] == first and other in self.keys:
                return places, other
        raise AssertionError("levels with equal signatures share a combination that runs")

    def differ_elsewhere(self, configs: PointConfigs, axis: int, pair: tuple[Places, Places]) -> bool:
        """Return whether two values of an axis differ beside values of the others that were not checked.

        Of intervals, and of a large space, random ones are tried.
        """
        if self.complete and configs.space.is_finite:
            return False
        random = Random(0)
        for _ in range(_RANDOM_CONTEXTS):
            others = [random.randrange(len(values)) for values in self.levels]
            both = [(*others[:axis], places[axis], *others[axis + 1 :]) for places in pair]
            first, second = (configs.compose(self.get_point(configs.space, places)) for places in both)
            if find_config_error(first) or find_config_error(second):
                continue
            if compute_effective_key(first, self.task) != compute_effective_key(second, self.task):
                return True
        return False

    def list_idle_levels(self) -> list[tuple[int, int, str]]:
        """List the values that run in no combination, by axis and level, with the reason of the first one."""
        running = {(axis, place) for places in self.keys for axis, place in enumerate(places)}
        idle: dict[tuple[int, int], str] = {}
        for places, error in self.errors.items():
            for pair in enumerate(places):
                if pair not in running:
                    idle.setdefault(pair, error)
        return [(axis, level, error) for (axis, level), error in idle.items()]


def check_points(
    configs: PointConfigs, task: str | None = None, *, limit: int = MAX_CHECKED
) -> CheckedPoints:
    """Compose and check the combinations of a space's values, of a large space two changed values at a time.

    Args:
        configs: Of the space.
        task: The task of the images where it is known and data.task is auto.
        limit: How many combinations to check at most.

    Raises:
        UserError: Hydra cannot compose one, as where a file that it names does not exist.
    """
    space = configs.space
    levels = [list_levels(axis) for axis in space.axes]
    found = _list_combinations(space, levels, limit)
    complete = found is not None
    chosen = _list_pairs(levels) if found is None else found
    checked = CheckedPoints(levels, complete, {}, {}, task)
    for places in chosen:
        values = configs.compose(checked.get_point(space, places))
        error = find_config_error(values)
        if error is None:
            checked.keys[places] = compute_effective_key(values, task)
        else:
            checked.errors[places] = error
    return checked


def list_levels(axis: SearchAxis) -> list[str | int | float]:
    """List all choices of an axis, or of an interval its middle, its ends, and one step from the first."""
    if axis.choices:
        return list(axis.choices)
    middle = math.sqrt(axis.low * axis.high) if axis.log else (axis.low + axis.high) / 2
    step = axis.step or (1 if axis.integer else 0)
    if not step:
        return [middle, axis.low, axis.high]
    count = round((axis.high - axis.low) / step)
    place = round((middle - axis.low) / step)
    numbers = [axis.low + step * number for number in dict.fromkeys((place, 0, 1, count))]
    return [int(value) if axis.integer else value for value in numbers]


def _list_combinations(space: SearchSpace, levels: Levels, limit: int) -> Iterable[Places] | None:
    """List the combinations of all choices beside the middles, and each level of one interval beside them.

    Returns:
        None if there are more than `limit`.
    """
    counts = [len(values) if axis.choices else 1 for axis, values in zip(space.axes, levels, strict=True)]
    changes: list[dict[int, int]] = [{}]
    changes += [
        {axis: level}
        for axis, values in enumerate(levels)
        for level in range(counts[axis], len(values))
        if not space.axes[axis].choices
    ]
    if math.prod(counts) * len(changes) > limit:
        return None
    return (_change(places, change) for change in changes for places in product(*map(range, counts)))


def _list_pairs(levels: Levels) -> list[Places]:
    """List combinations that differ from the first one in at most two axes, single changes first.

    Of the pairs of axes it takes one change each in turn.
    """
    zero = (0,) * len(levels)
    single = [
        _change(zero, {axis: level}) for axis, values in enumerate(levels) for level in range(1, len(values))
    ]
    double = [
        [
            _change(zero, {one: first, two: second})
            for first, second in product(range(1, len(levels[one])), range(1, len(levels[two])))
        ]
        for one, two in combinations(range(len(levels)), 2)
    ]
    turns = (places for turn in zip_longest(*double) for places in turn if places is not None)
    return [zero, *single, *islice(turns, MAX_PAIRS)]


def _change(places: Places, changes: dict[int, int]) -> Places:
    return tuple(changes.get(axis, place) for axis, place in enumerate(places))
