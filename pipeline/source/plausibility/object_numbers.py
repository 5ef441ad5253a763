"""Tell numbers that count the objects of each mask from numbers of classes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final, Literal

NumberMeaning = Literal["classes", "objects", "unclear", "single"]
"""Numbers of classes; of objects, 1 to the last in each mask; of either; or nearly each in one mask alone."""

_MIN_MASKS: Final = 3
_MIN_OBJECTS: Final = 3
"""Two numbers may be nested classes, such as an organ and its tumor."""
_MANY_OBJECTS: Final = 4
_MAX_CLASS: Final = 255
"""A larger value is a color, or a number in a mask of 16 bits."""
_MAX_REGIONS: Final = 1.1
"""Regions per number: an object is one region, unless something covers its middle."""
_MIN_SINGLE: Final = 10
"""Fewer values, or fewer masks, show nothing."""
_NEARLY_ALL: Final = 0.9


def infer_number_meaning(masks: Sequence[Mapping[int, int]]) -> NumberMeaning:
    """Infer what the values of masks mean that nothing names.

    Args:
        masks: The number of regions of each value, for each mask.
    """
    filled = [mask for mask in masks if mask]
    uses = Counter(value for mask in filled for value in mask)
    large = {value: number for value, number in uses.items() if value > _MAX_CLASS}
    once = sum(number == 1 for number in large.values())
    if min(len(large), len(filled)) >= _MIN_SINGLE and once >= _NEARLY_ALL * len(uses):
        return "single"
    counts = {len(mask) for mask in filled}
    if len(filled) < _MIN_MASKS or len(counts) < 2 or max(counts) < _MIN_OBJECTS:
        return "classes"
    regions = sum(number for mask in filled for number in mask.values())
    if regions > _MAX_REGIONS * uses.total() or not all(map(_are_counted, filled)):
        return "classes"
    return "objects" if max(counts) >= _MANY_OBJECTS and len(counts) > 2 else "unclear"


def _are_counted(mask: Mapping[int, int]) -> bool:
    return set(mask) == set(range(1, len(mask) + 1))
