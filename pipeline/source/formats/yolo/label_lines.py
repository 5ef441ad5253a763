"""Parse YOLO label files of any tool: boxes, outlines, oriented boxes, poses.

A single line does not say what it is: eight numbers are an outline of four points or an oriented box,
fifty-five are a pose or a long outline. So lines are parsed as numbers first, and their layout is inferred
from all lines of the dataset.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from typing import Final, Literal, NamedTuple

import numpy as np

from pipeline.core.annotations import RawObjects
from pipeline.core.arrays import FloatArray
from pipeline.core.findings import AnnotationNote
from pipeline.core.tasks import Keypoints
from pipeline.core.text import format_count

LabelForm = Literal["outlines", "obb", "pose"]

_BOX_VALUES: Final = 5
"""Values in the line of a box: class, center x and y, width, height."""
_MIN_SHARE: Final = 0.95
_MAX_SKEW: Final = 0.02
"""Tolerance for the fourth corner of a rectangle, as a fraction of its larger side."""


class LabelLines(NamedTuple):
    """The lines of one label file as numbers, in one array to save memory: a whole dataset is held at once.

    Attributes:
        values: The class and the coordinates of each object, one object after the other.
        lengths: The number of values of each object.
        marks: The names of the objects in reports.
        notes: Lines that are not numbers.
    """

    values: FloatArray
    lengths: tuple[int, ...]
    marks: tuple[str, ...]
    notes: tuple[AnnotationNote, ...]

    @property
    def rows(self) -> list[FloatArray]:
        """The values of each object."""
        return np.split(self.values, np.cumsum(self.lengths)[:-1]) if self.lengths else []


class LabelLayout(NamedTuple):
    """How the lines of a dataset are interpreted.

    Attributes:
        form: outlines: boxes and outlines, by line length; obb: four corners; pose: a box and keypoints.
        keypoints: The keypoints of a pose.
        extra_values: The number of values after a box that are ignored.
        remarks: Why the layout was chosen, if it is not obvious.
    """

    form: LabelForm
    keypoints: Keypoints | None = None
    extra_values: int = 0
    remarks: tuple[str, ...] = ()


def parse_label_lines(text: str) -> LabelLines:
    """Parse each line of a label file to a class index and numbers."""
    rows, marks, notes = [], [], []
    for number, line in enumerate(text.splitlines(), 1):
        values = _parse_numbers(line)
        if values is None or (values and not _is_class_index(values[0])):
            notes.append(_note_invalid_line(_line_mark(number), line))
        elif values:
            rows.append(values)
            marks.append(_line_mark(number))
    flat = np.array([value for row in rows for value in row], np.float64)
    return LabelLines(flat, tuple(map(len, rows)), tuple(marks), tuple(notes))


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
    return inferred._replace(remarks=(*unused_shape, *inferred.remarks))


def build_label_objects(
    lines: LabelLines, layout: LabelLayout
) -> tuple[RawObjects, tuple[AnnotationNote, ...]]:
    """Build the objects of one file, with coordinates as fractions of the image size.

    Returns:
        The objects, and notes on lines that do not fit the layout.
    """
    lengths = set(lines.lengths)
    if not layout.keypoints and (lengths <= {_BOX_VALUES} or all(map(_is_outline_length, lengths))):
        return _build_boxes(lines) if lengths <= {_BOX_VALUES} else _build_outlines(lines), lines.notes
    kept: list[tuple[str, FloatArray]] = []
    notes = list(lines.notes)
    for mark, row in zip(lines.marks, lines.rows, strict=True):
        if _fits_layout(row, layout):
            kept.append((mark, row))
        else:
            notes.append(_note_invalid_line(mark, " ".join(f"{value:.6g}" for value in row)))
    raw = RawObjects(
        np.array([row[0] for _, row in kept], np.int64),
        np.array([_enclosing_box(row, layout) for _, row in kept], np.float64).reshape(-1, 4),
        tuple(mark for mark, _ in kept),
        _collect_outlines([row for _, row in kept], layout),
        tuple(_parse_keypoints(row, layout.keypoints) for _, row in kept) if layout.keypoints else (),
    )
    return raw, tuple(notes)


def _build_boxes(lines: LabelLines) -> RawObjects:
    """Build objects from lines that are all boxes: a vectorized path for the most frequent case."""
    table = lines.values.reshape(-1, _BOX_VALUES)
    centers, halves = table[:, 1:3], table[:, 3:] / 2
    with np.errstate(over="ignore", invalid="ignore"):  # infinite boxes are found later
        corners = np.concatenate([centers - halves, centers + halves], axis=1)
    return RawObjects(table[:, 0].astype(np.int64), corners, lines.marks)


def _build_outlines(lines: LabelLines) -> RawObjects:
    """Build objects from one or more lines that are all outlines: a vectorized path."""
    lengths = np.array(lines.lengths)
    starts = np.cumsum(lengths) - lengths
    corners = np.delete(lines.values, starts).reshape(-1, 2)
    first = (starts - np.arange(len(starts))) // 2
    extents = np.minimum.reduceat(corners, first), np.maximum.reduceat(corners, first)
    outlines = tuple((part,) for part in np.split(corners, first[1:]))
    classes = lines.values[starts].astype(np.int64)
    return RawObjects(classes, np.concatenate(extents, axis=1), lines.marks, outlines)


@lru_cache(maxsize=10_000)
def _line_mark(number: int) -> str:
    return f"line {number}"


def _parse_numbers(line: str) -> list[float] | None:
    try:
        return [float(field) for field in line.split()]
    except ValueError:
        return None


def _is_class_index(value: float) -> bool:
    return abs(value) < 1e6 and value.is_integer()  # NaN fails the comparison


def _note_invalid_line(mark: str, line: str) -> AnnotationNote:
    return AnnotationNote(True, f"{mark}: not a label: {line.strip()[:60]!r}", "malformed")


def _fits_layout(row: FloatArray, layout: LabelLayout) -> bool:
    values = len(row) - 1
    if layout.keypoints:
        return values in {4, 4 + layout.keypoints.count * layout.keypoints.dims}
    return values in {4, 4 + layout.extra_values} or _is_outline_length(len(row))


def _is_outline_length(length: int) -> bool:
    return length >= 7 and length % 2 == 1


def _enclosing_box(row: FloatArray, layout: LabelLayout) -> list[float]:
    """Return x1 y1 x2 y2 of the box around the object of a line."""
    if _is_outline_length(len(row)) and not layout.keypoints:
        (left, top), (right, bottom) = row[1:].reshape(-1, 2).min(0), row[1:].reshape(-1, 2).max(0)
        return [left, top, right, bottom]
    x, y, width, height = row[1:5].tolist()
    return [x - width / 2, y - height / 2, x + width / 2, y + height / 2]


def _collect_outlines(rows: Sequence[FloatArray], layout: LabelLayout) -> tuple[tuple[FloatArray, ...], ...]:
    if layout.keypoints or not any(_is_outline_length(len(row)) for row in rows):
        return ()
    return tuple((row[1:].reshape(-1, 2),) if _is_outline_length(len(row)) else () for row in rows)


def _parse_keypoints(row: FloatArray, keypoints: Keypoints) -> FloatArray:
    """Return keypoints (points, 3): x, y, visibility.

    Without visibility, a point is visible (2) unless it is at 0, 0 or has a negative coordinate.
    """
    if len(row) == 5:
        return np.zeros((0, 3))  # a box without points
    points = row[5:].reshape(keypoints.count, -1)[:, :3]
    if points.shape[1] == 3:
        return points
    is_visible = (points >= 0).all(axis=1) & (points > 0).any(axis=1)
    return np.column_stack([points, 2.0 * is_visible])


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
    remark = (
        f"each line has {format_count(values - 4, 'value')} after its box: left aside (poses need kpt_shape)"
    )
    return LabelLayout("outlines", None, values - 4, (remark,))


def _mostly_rectangles(rows: FloatArray) -> bool:
    """Distinguish rectangles from outlines that happen to have four points.

    With coordinates as fractions of a non-square image, a rectangle is a parallelogram: that is checked.
    """
    corners = rows[:, 1:].reshape(-1, 4, 2)
    corners = corners[(np.abs(corners) < 1e6).all(axis=(1, 2))]  # NaN fails the comparison
    gap = np.abs(corners[:, 0] + corners[:, 2] - corners[:, 1] - corners[:, 3]).max(axis=1)
    extent = (corners.max(axis=1) - corners.min(axis=1)).max(axis=1)
    return len(corners) > 0 and float(np.mean(gap <= _MAX_SKEW * extent + 1e-5)) >= _MIN_SHARE
