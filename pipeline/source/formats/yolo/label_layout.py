"""Infer from all label lines of a YOLO dataset how they are read: boxes, outlines, oriented boxes, poses."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from pipeline.core.arrays import FloatArray
from pipeline.core.tasks import Keypoints
from pipeline.core.text import format_count
from pipeline.source.formats.yolo.label_lines import LabelLayout, LabelLines, is_outline_length

_MIN_SHARE: Final = 0.95
_CORNER_VALUES: Final = 8
_MAX_SKEW: Final = 0.02
"""Tolerance for the fourth corner of a rectangle, as a fraction of its larger side."""


def infer_label_layout(
    files: Sequence[LabelLines], *, keypoints: Keypoints | None = None, oriented: bool = False
) -> LabelLayout:
    """Infer the layout of a dataset from all its lines.

    Args:
        files: The label files.
        keypoints: The keypoints that data.yaml states (kpt_shape).
        oriented: A name in data.yaml says that the dataset has oriented boxes.
    """
    counts = Counter(length - 1 for file in files for length in file.lengths)
    if keypoints and counts[4 + keypoints.count * keypoints.dims]:
        return LabelLayout("pose", keypoints)
    unused_shape = (
        ("no line fits the kpt_shape of data.yaml: read as boxes and outlines",) if keypoints else ()
    )
    usual, number = max(counts.items(), key=lambda item: item[1], default=(4, 0))
    inferred = LabelLayout("outlines")
    if usual > 4 and number >= _MIN_SHARE * counts.total():
        rows = np.array([row for file in files for row in file.rows if len(row) == usual + 1])
        inferred = _infer_oriented(rows, set(counts), oriented) or _infer_pose(rows) or _infer_boxes(usual)
    remarks = (*unused_shape, *inferred.remarks, *_describe_quadrilaterals(inferred, counts))
    return inferred._replace(remarks=remarks)


def _describe_quadrilaterals(inferred: LabelLayout, counts: Mapping[int, int]) -> tuple[str, ...]:
    """Tell of outlines that nearly all have four corners: oriented boxes are written in the same way."""
    outlines = sum(number for values, number in counts.items() if is_outline_length(values + 1))
    fours = counts.get(_CORNER_VALUES, 0)
    if inferred.form != "outlines" or not fours or fours < _MIN_SHARE * outlines:
        return ()
    return (
        f"{fours:,} of {format_count(outlines, 'outline has', 'outlines have')} four corners: if they are "
        "oriented boxes, set data.task=obb",
    )


def _infer_oriented(rows: FloatArray, counts: set[int], stated: bool) -> LabelLayout | None:
    """Infer oriented boxes: all outlines have four corners, and are rectangles or stated to be so."""
    other_outlines = {count for count in counts if count >= 6 and count % 2 == 0} - {8}
    if rows.shape[1] != 9 or other_outlines or not (stated or _mostly_rectangles(rows)):
        return None
    why = "the dataset calls itself so" if stated else "every outline is a rectangle"
    return LabelLayout("obb", remarks=(f"read as oriented boxes, because {why} (data.task decides)",))


def _infer_pose(rows: FloatArray) -> LabelLayout | None:
    """Infer poses without data.yaml: every third value after the box is a visibility of 0, 1 or 2."""
    visibility = rows[:, 7::3]
    if rows.shape[1] < 11 or (rows.shape[1] - 5) % 3:
        return None
    if not np.isin(visibility, (0, 1, 2)).all() or not (visibility == 2).any():
        return None
    names = tuple(f"point_{index}" for index in range(visibility.shape[1]))
    points = format_count(len(names), "point")
    remark = f"read as poses of {points}; kpt_shape and flip_idx in data.yaml would say so"
    return LabelLayout("pose", Keypoints(names, tuple(range(len(names)))), remarks=(remark,))


def _infer_boxes(values: int) -> LabelLayout:
    """Interpret an odd number of values as a box and extra values."""
    if values % 2 == 0:
        return LabelLayout("outlines")
    meaning = (
        "an angle, for example: oriented boxes need four corners" if values == 5 else "poses need kpt_shape"
    )
    remark = f"each line has {format_count(values - 4, 'value')} after its box: left aside ({meaning})"
    return LabelLayout("outlines", None, values - 4, remarks=(remark,))


def _mostly_rectangles(rows: FloatArray) -> bool:
    """Distinguish rectangles from outlines that happen to have four points.

    With coordinates as fractions of a non-square image, a rectangle is a parallelogram: that is checked.
    """
    corners = rows[:, 1:].reshape(-1, 4, 2)
    corners = corners[(np.abs(corners) < 1e6).all(axis=(1, 2))]  # NaN fails the comparison
    gap = np.abs(corners[:, 0] + corners[:, 2] - corners[:, 1] - corners[:, 3]).max(axis=1)
    extent = (corners.max(axis=1) - corners.min(axis=1)).max(axis=1)
    return len(corners) > 0 and float(np.mean(gap <= _MAX_SKEW * extent + 1e-5)) >= _MIN_SHARE
