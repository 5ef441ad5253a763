"""Infer from all label lines of a YOLO dataset how they are read: boxes, outlines, oriented boxes, poses."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import shapely

from pipeline.core.arrays import BoolArray, FloatArray
from pipeline.core.errors import UserError
from pipeline.core.tasks import Keypoints
from pipeline.core.text import format_count
from pipeline.source.formats.yolo.label_lines import LabelLayout, LabelLines, is_outline_length
from pipeline.source.reading.flip_pairs import describe_unpaired_keypoints, pair_keypoints_by_name

_MIN_SHARE: Final = 0.95
_CORNER_VALUES: Final = 8
_MAX_SKEW: Final = 0.02
"""Tolerance for the fourth corner of a rectangle, as a fraction of its larger side."""
_MAX_OVERHANG: Final = 0.02
"""Share of the image by which a keypoint may lie outside of the box of its object."""
_MIN_BROKEN: Final = 0.4
"""If so many outlines are none, they are something else; of real ones less than a fifth look so."""
_MIN_ROWS: Final = 3
_MAX_CHECKED_ROWS: Final = 2000


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


def refuse_unstated_poses(files: Sequence[LabelLines]) -> None:
    """Refuse rows of one even length that are read as outlines, but look like boxes with keypoints.

    A small outline, read as a box and points, has its points in the box, too. So its other reading counts as
    well: as outlines, poses cross themselves, or their second corner, which is a size, lies far off.

    Raises:
        UserError: They look so.
    """
    counts = Counter(length - 1 for file in files for length in file.lengths)
    usual, number = max(counts.items(), key=lambda item: item[1], default=(0, 0))
    if usual < _CORNER_VALUES or usual % 2 or number < _MIN_SHARE * counts.total():
        return
    rows = np.array([row for file in files for row in file.rows if len(row) == usual + 1])
    rows = rows[:: len(rows) // _MAX_CHECKED_ROWS + 1]
    rows = rows[(np.abs(rows) < 1e6).all(axis=1)]  # NaN fails the comparison
    if len(rows) < _MIN_ROWS or _find_broken_outlines(rows).mean() < _MIN_BROKEN:
        return
    found = [dims for dims in (2, 3) if (usual - 4) % dims == 0 and _are_points_in_boxes(rows, dims)]
    if found:
        shapes = " or ".join(f"[{(usual - 4) // dims}, {dims}]" for dims in found)
        raise UserError(
            f"the labels look like a box and {(usual - 4) // found[0]} keypoints of each object, not like "
            f"outlines: add kpt_shape: {shapes} to data.yaml; if they are outlines, set data.task=segment"
        )


def _find_broken_outlines(rows: FloatArray) -> BoolArray:
    """Find outlines that cross themselves, or whose second corner is far from all others."""
    corners = rows[:, 1:].reshape(len(rows), -1, 2)
    others = np.delete(corners, 1, axis=1)
    low, high = others.min(axis=1), others.max(axis=1)
    reach = high - low
    is_far = ((corners[:, 1] < low - reach) | (corners[:, 1] > high + reach)).any(axis=1)
    return np.asarray(is_far | ~shapely.is_valid(shapely.polygons(corners)), np.bool_)


def _are_points_in_boxes(rows: FloatArray, dims: int) -> bool:
    """Check whether nearly all rows, read as a box and points, have all labelled points in the box.

    Args:
        rows: (n, values) with the class first.
        dims: 2 for x and y of each point, or 3 with a visibility of 0 to 2.
    """
    points = rows[:, 5:].reshape(len(rows), -1, dims)
    labelled = (points[:, :, :2] != 0).any(axis=2)
    if dims == 3:
        labelled &= points[:, :, 2] > 0
        if not ((points[:, :, 2] >= 0) & (points[:, :, 2] <= 2)).all():
            return False
    distance = np.abs(points[:, :, :2] - rows[:, None, 1:3])
    inside = (distance <= rows[:, None, 3:5] / 2 + _MAX_OVERHANG).all(axis=2)
    placed = labelled.any(axis=1)
    fits = (inside | ~labelled).all(axis=1)[placed]
    return len(fits) >= max(1, len(rows) / 2) and float(fits.mean()) >= _MIN_SHARE


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
    if not np.isin(visibility, (0, 1, 2)).all() or not visibility.any():
        return None
    if not (visibility == 2).any() and not _are_points_in_boxes(rows, 3):  # an outline along the image border
        return None
    names = tuple(f"point_{index}" for index in range(visibility.shape[1]))
    keypoints = Keypoints(names, pair_keypoints_by_name(names))
    points = format_count(len(names), "point")
    remark = f"read as poses of {points}; kpt_shape and flip_idx in data.yaml would say so"
    unpaired = describe_unpaired_keypoints(keypoints, "set kpt_shape and flip_idx in data.yaml")
    return LabelLayout("pose", keypoints, remarks=(remark, *unpaired))


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
