"""Infer what the five numbers of a line of a text file mean: where the class is, and how the box is given."""

from __future__ import annotations

from typing import Final, Literal

import numpy as np

from pipeline.core.arrays import BoolArray, FloatArray

ColumnOrder = Literal["class_last", "class_first", "centers", "unclear"]
"""`x1 y1 x2 y2 class`; `class x1 y1 x2 y2`; `class x y width height`; more than one of them, or none."""

_NEARLY_ALL: Final = 0.95
_MAX_CLASS: Final = 10_000
_MAX_NUMBER: Final = 1e9
_MANY_MORE: Final = 2
"""How many times as many values as the class a coordinate takes."""
_MAX_IN_PLACE: Final = 0.8


def infer_column_order(rows: FloatArray) -> ColumnOrder:
    """Infer the order of the columns from all lines.

    Corners are in order in nearly all lines. A class is a whole number, and takes fewer values than a
    coordinate does. Corners that are read as a center and a size reach out of the image at the left or top.

    Args:
        rows: (n, 5) numbers in pixels.
    """
    rows = rows[(np.abs(rows) < _MAX_NUMBER).all(axis=1)]  # NaN fails the comparison
    if not len(rows):
        return "unclear"
    last = _are_corners(rows[:, :4]) and _are_classes(rows[:, 4])
    first = _are_corners(rows[:, 1:]) and _are_classes(rows[:, 0])
    if last and first:
        counts = len(np.unique(rows[:, 0])), len(np.unique(rows[:, 4]))
        last, first = counts[1] * _MANY_MORE <= counts[0], counts[0] * _MANY_MORE <= counts[1]
        if not (last or first):
            return "unclear"
    if last:
        return "class_last"
    if not _are_classes(rows[:, 0]):
        return "unclear"
    if not first:
        return "centers"
    return "class_first" if float(np.mean(_are_in_place(rows[:, 1:]))) < _MAX_IN_PLACE else "unclear"


def are_ordered_corners(boxes: FloatArray) -> BoolArray:
    """Return for each box (n, 4) whether it can be x1 y1 x2 y2."""
    ordered: BoolArray = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
    return ordered


def _are_corners(boxes: FloatArray) -> bool:
    is_corner = are_ordered_corners(boxes) & (boxes >= 0).all(axis=1)
    return float(np.mean(is_corner)) >= _NEARLY_ALL


def _are_classes(values: FloatArray) -> bool:
    return bool(((values >= 0) & (values < _MAX_CLASS) & (values % 1 == 0)).all())


def _are_in_place(boxes: FloatArray) -> BoolArray:
    """Return for each box, read as a center and a size, whether it begins inside the image."""
    return np.asarray((boxes[:, :2] >= boxes[:, 2:] / 2 - 1).all(axis=1), np.bool_)
