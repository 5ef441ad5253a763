"""Parse YOLO label files of any tool: boxes, outlines, oriented boxes, poses.

A single line does not say what it is: eight numbers are an outline of four points or an oriented box,
fifty-five are a pose or a long outline. So lines are parsed as numbers first, and their layout is inferred
from all lines of the dataset.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Final, Literal, NamedTuple

import numpy as np

from pipeline.core.annotations import RawObjects
from pipeline.core.arrays import FloatArray
from pipeline.core.findings import AnnotationNote
from pipeline.core.tasks import Keypoints
from pipeline.source.plausibility.column_order import infer_column_order

LabelForm = Literal["outlines", "obb", "pose"]

BOX_VALUES: Final = 5
"""Values in the line of a box: class, center x and y, width, height."""
_MAX_HEAD_LINES: Final = 50


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
        corners: Boxes are given by two corners, not by center and size.
        remarks: Why the layout was chosen, if it is not obvious.
    """

    form: LabelForm
    keypoints: Keypoints | None = None
    extra_values: int = 0
    corners: bool = False
    remarks: tuple[str, ...] = ()


def is_label_text(head: bytes) -> bool:
    """Check the beginning of a text file for the labels of an image: a class number and coordinates.

    Coordinates in pixels count, if the class does not come last: such labels are for the reader to judge.
    """
    rows = [
        _parse_numbers(line) for line in head.decode("utf-8-sig", "replace").splitlines()[:_MAX_HEAD_LINES]
    ]
    filled = [row for row in rows if row is None or row]
    if not filled or not filled[0] or len(filled[0]) < BOX_VALUES or not _is_class_index(filled[0][0]):
        return False
    if all(-1 < value < 2 for value in filled[0][1:BOX_VALUES]):
        return True
    boxes = [row for row in filled if row and len(row) == BOX_VALUES]
    if len(filled[0]) == BOX_VALUES:
        return infer_column_order(np.array(boxes)) != "class_last"
    return is_outline_length(len(filled[0])) and all(map(math.isfinite, filled[0]))


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


def drop_confidences(lines: LabelLines) -> LabelLines:
    """Remove the last value of each box or outline that has one too many: how sure a model is."""
    lengths = np.array(lines.lengths, np.int64)
    has_score = (lengths > BOX_VALUES) & (lengths % 2 == 0)
    values = np.delete(lines.values, (np.cumsum(lengths) - 1)[has_score])
    return lines._replace(values=values, lengths=tuple((lengths - has_score).tolist()))


def build_label_objects(
    lines: LabelLines, layout: LabelLayout
) -> tuple[RawObjects, tuple[AnnotationNote, ...]]:
    """Build the objects of one file, with coordinates as fractions of the image size.

    Returns:
        The objects, and notes on lines that do not fit the layout.
    """
    lengths = set(lines.lengths)
    if not layout.keypoints and (lengths <= {BOX_VALUES} or all(map(is_outline_length, lengths))):
        are_boxes = lengths <= {BOX_VALUES}
        return _build_boxes(lines, layout) if are_boxes else _build_outlines(lines), lines.notes
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


def _build_boxes(lines: LabelLines, layout: LabelLayout) -> RawObjects:
    """Build objects from lines that are all boxes: a vectorized path for the most frequent case."""
    table = lines.values.reshape(-1, BOX_VALUES)
    if layout.corners:
        return RawObjects(table[:, 0].astype(np.int64), table[:, 1:].copy(), lines.marks)
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


def collect_visibilities(lines: LabelLines, layout: LabelLayout) -> FloatArray:
    """Return (n,) the visibilities of all keypoints in one file; none if the layout states none."""
    points = layout.keypoints
    if points is None or points.dims != 3:
        return np.zeros(0)
    rows = [row for row in lines.rows if len(row) == BOX_VALUES + 3 * points.count]
    return np.concatenate([np.zeros(0), *(row[BOX_VALUES + 2 :: 3] for row in rows)])


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
    return values in {4, 4 + layout.extra_values} or is_outline_length(len(row))


def is_outline_length(length: int) -> bool:
    """Check for the length of a line with a class and the corners of an outline."""
    return length >= 7 and length % 2 == 1


def _enclosing_box(row: FloatArray, layout: LabelLayout) -> list[float]:
    """Return x1 y1 x2 y2 of the box around the object of a line."""
    if is_outline_length(len(row)) and not layout.keypoints:
        (left, top), (right, bottom) = row[1:].reshape(-1, 2).min(0), row[1:].reshape(-1, 2).max(0)
        return [left, top, right, bottom]
    if layout.corners:
        return list(map(float, row[1:5]))
    x, y, width, height = row[1:5].tolist()
    return [x - width / 2, y - height / 2, x + width / 2, y + height / 2]


def _collect_outlines(rows: Sequence[FloatArray], layout: LabelLayout) -> tuple[tuple[FloatArray, ...], ...]:
    if layout.keypoints or not any(is_outline_length(len(row)) for row in rows):
        return ()
    return tuple((row[1:].reshape(-1, 2),) if is_outline_length(len(row)) else () for row in rows)


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
