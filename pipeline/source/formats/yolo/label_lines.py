"""Label files of YOLO datasets by any tool: boxes, outlines, oriented boxes, poses, and lines that are none.

A line does not say what it is: eight numbers are an outline of four points or an oriented box, fifty-five a
pose or a long outline. So lines are read as numbers first, and what they are is told from all of them.
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

_BOX: Final = 5
"""Values of a line that is a box: its class, centre and extent."""
_NEARLY_ALL: Final = 0.95
_SKEW: Final = 0.02
"""How far the fourth corner of a rectangle may lie from where the others put it, in shares of its extent."""


class LabelLines(NamedTuple):
    """The lines of one label file, as numbers; those of a whole dataset are held at once, hence in one array.

    Attributes:
        values: For each object its class and what follows it, one object after the other.
        lengths: How many values each has.
        marks: What each is called in a report.
        notes: Lines that are no numbers.
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
    """What the lines of a dataset are.

    Attributes:
        form: outlines: boxes and outlines, each by its length; obb: four corners; pose: a box and points.
        keypoints: The points of a pose.
        surplus: Values after a box that are left aside.
        remarks: How this was told, where it is not plain.
    """

    form: LabelForm
    keypoints: Keypoints | None = None
    surplus: int = 0
    remarks: tuple[str, ...] = ()


def parse(text: str) -> LabelLines:
    """Read the lines of a label file as a class index and numbers."""
    rows, marks, notes = [], [], []
    for number, line in enumerate(text.splitlines(), 1):
        values = _numbers(line)
        if values is None or (values and not _is_class(values[0])):
            notes.append(_no_label(_mark(number), line))
        elif values:
            rows.append(values)
            marks.append(_mark(number))
    flat = np.array([value for row in rows for value in row], np.float64)
    return LabelLines(flat, tuple(map(len, rows)), tuple(marks), tuple(notes))


def layout(
    files: Sequence[LabelLines], *, keypoints: Keypoints | None = None, oriented: bool = False
) -> LabelLayout:
    """Tell what the lines of a whole dataset are.

    Args:
        files: Its label files.
        keypoints: The points that its data.yaml states (kpt_shape).
        oriented: The dataset calls itself one of oriented boxes.
    """
    counts = Counter(length - 1 for file in files for length in file.lengths)
    if keypoints and counts[4 + keypoints.count * keypoints.dims]:
        return LabelLayout("pose", keypoints)
    stated = ("no line fits the kpt_shape of data.yaml: read as boxes and outlines",) if keypoints else ()
    usual, number = max(counts.items(), key=lambda item: item[1], default=(4, 0))
    told = LabelLayout("outlines")
    if usual > 4 and number >= _NEARLY_ALL * counts.total():
        rows = np.array([row for file in files for row in file.rows if len(row) == usual + 1])
        told = _oriented(rows, set(counts), oriented) or _posed(rows) or _boxes(usual)
    return told._replace(remarks=(*stated, *told.remarks))


def objects(lines: LabelLines, form: LabelLayout) -> tuple[RawObjects, tuple[AnnotationNote, ...]]:
    """Turn the lines of one file into objects, in shares of the image.

    Returns:
        The objects, and the lines that are none of what the dataset's lines are.
    """
    lengths = set(lines.lengths)
    if not form.keypoints and (lengths <= {_BOX} or all(map(_is_outline, lengths))):
        return _boxes_alone(lines) if lengths <= {_BOX} else _outlines_alone(lines), lines.notes
    kept: list[tuple[str, FloatArray]] = []
    notes = list(lines.notes)
    for mark, row in zip(lines.marks, lines.rows, strict=True):
        if _fits(row, form):
            kept.append((mark, row))
        else:
            notes.append(_no_label(mark, " ".join(f"{value:.6g}" for value in row)))
    raw = RawObjects(
        np.array([row[0] for _, row in kept], np.int64),
        np.array([_box(row, form) for _, row in kept], np.float64).reshape(-1, 4),
        tuple(mark for mark, _ in kept),
        _outlines([row for _, row in kept], form),
        tuple(_points(row, form.keypoints) for _, row in kept) if form.keypoints else (),
    )
    return raw, tuple(notes)


def _boxes_alone(lines: LabelLines) -> RawObjects:
    """Turn lines that are all boxes into objects, as nearly all are."""
    table = lines.values.reshape(-1, _BOX)
    centres, halves = table[:, 1:3], table[:, 3:] / 2
    with np.errstate(over="ignore", invalid="ignore"):  # a box of no numbers is found out as such later
        corners = np.concatenate([centres - halves, centres + halves], axis=1)
    return RawObjects(table[:, 0].astype(np.int64), corners, lines.marks)


def _outlines_alone(lines: LabelLines) -> RawObjects:
    """Turn lines that are all outlines into objects, at least one."""
    lengths = np.array(lines.lengths)
    starts = np.cumsum(lengths) - lengths
    corners = np.delete(lines.values, starts).reshape(-1, 2)
    first = (starts - np.arange(len(starts))) // 2
    extents = np.minimum.reduceat(corners, first), np.maximum.reduceat(corners, first)
    outlines = tuple((part,) for part in np.split(corners, first[1:]))
    classes = lines.values[starts].astype(np.int64)
    return RawObjects(classes, np.concatenate(extents, axis=1), lines.marks, outlines)


@lru_cache(maxsize=10_000)
def _mark(number: int) -> str:
    return f"line {number}"


def _numbers(line: str) -> list[float] | None:
    try:
        return [float(field) for field in line.split()]
    except ValueError:
        return None


def _is_class(value: float) -> bool:
    return abs(value) < 1e6 and value.is_integer()  # NaN is not less


def _no_label(mark: str, line: str) -> AnnotationNote:
    return AnnotationNote(True, f"{mark}: not a label: {line.strip()[:60]!r}", "malformed")


def _fits(row: FloatArray, form: LabelLayout) -> bool:
    values = len(row) - 1
    if form.keypoints:
        return values in {4, 4 + form.keypoints.count * form.keypoints.dims}
    return values in {4, 4 + form.surplus} or _is_outline(len(row))


def _is_outline(length: int) -> bool:
    return length >= 7 and length % 2 == 1


def _box(row: FloatArray, form: LabelLayout) -> list[float]:
    """Return the corners around what a line describes."""
    if _is_outline(len(row)) and not form.keypoints:
        (left, top), (right, bottom) = row[1:].reshape(-1, 2).min(0), row[1:].reshape(-1, 2).max(0)
        return [left, top, right, bottom]
    x, y, width, height = row[1:5].tolist()
    return [x - width / 2, y - height / 2, x + width / 2, y + height / 2]


def _outlines(rows: Sequence[FloatArray], form: LabelLayout) -> tuple[tuple[FloatArray, ...], ...]:
    if form.keypoints or not any(_is_outline(len(row)) for row in rows):
        return ()
    return tuple((row[1:].reshape(-1, 2),) if _is_outline(len(row)) else () for row in rows)


def _points(row: FloatArray, keypoints: Keypoints) -> FloatArray:
    """Return (points, 3); a point without a visibility is labelled unless it lies at 0, 0 or below."""
    if len(row) == 5:
        return np.zeros((0, 3))  # a box without points
    points = row[5:].reshape(keypoints.count, -1)[:, :3]
    if points.shape[1] == 3:
        return points
    placed = (points >= 0).all(axis=1) & (points > 0).any(axis=1)
    return np.column_stack([points, 2.0 * placed])


def _oriented(rows: FloatArray, counts: set[int], said: bool) -> LabelLayout | None:
    """Tell oriented boxes: no outline has other than four corners, and they are said to be, or rectangles."""
    others = {count for count in counts if count >= 6 and count % 2 == 0} - {8}
    if rows.shape[1] != 9 or others or not (said or _mostly_rectangles(rows)):
        return None
    why = "the dataset calls itself so" if said else "every outline is a rectangle"
    return LabelLayout("obb", remarks=(f"read as oriented boxes, because {why} (data.task decides)",))


def _posed(rows: FloatArray) -> LabelLayout | None:
    """Tell poses whose data.yaml is lost: each third value is a visibility, 0, 1 or 2."""
    seen = rows[:, 7::3]
    if rows.shape[1] < 11 or (rows.shape[1] - 5) % 3:
        return None
    if not np.isin(seen, (0, 1, 2)).all() or not (seen == 2).any():
        return None
    names = tuple(f"point_{index}" for index in range(seen.shape[1]))
    points = format_count(len(names), "point")
    remark = f"read as poses of {points}; kpt_shape and flip_idx in data.yaml would say so"
    return LabelLayout("pose", Keypoints(names, tuple(range(len(names)))), remarks=(remark,))


def _boxes(values: int) -> LabelLayout:
    """Take an odd number of values for a box and something else."""
    if values % 2 == 0:
        return LabelLayout("outlines")
    remark = (
        f"each line has {format_count(values - 4, 'value')} after its box: left aside (poses need kpt_shape)"
    )
    return LabelLayout("outlines", None, values - 4, (remark,))


def _mostly_rectangles(rows: FloatArray) -> bool:
    """Tell rectangles from outlines that happen to have four points.

    In shares of an image that is not square a rectangle is a parallelogram, which is what is looked for.
    """
    corners = rows[:, 1:].reshape(-1, 4, 2)
    corners = corners[(np.abs(corners) < 1e6).all(axis=(1, 2))]  # NaN is not less
    gap = np.abs(corners[:, 0] + corners[:, 2] - corners[:, 1] - corners[:, 3]).max(axis=1)
    extent = (corners.max(axis=1) - corners.min(axis=1)).max(axis=1)
    return len(corners) > 0 and float(np.mean(gap <= _SKEW * extent + 1e-5)) >= _NEARLY_ALL
