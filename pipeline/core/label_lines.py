"""Label files of YOLO datasets by any tool: boxes, polygons, poses, and lines that are none of these."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from pipeline.core.boxes import Note, Raw


class Lines(NamedTuple):
    """A label file as it was read.

    Attributes:
        raw: The objects, their boxes in shares of the image.
        notes: Lines that could not be read.
        polygons: How many of the objects were outlines, and became boxes.
    """

    raw: Raw
    notes: tuple[Note, ...]
    polygons: int


def parse(text: str, *, pose: int = 0) -> Lines:
    """Read `class x y w h` and `class x1 y1 x2 y2 x3 y3 ...`, in shares of the image.

    Args:
        text: The label file.
        pose: Values of the key points that follow a box, where the dataset has them.
    """
    rows, marks, notes, polygons = [], [], [], 0
    for number, line in enumerate(text.splitlines(), 1):
        values = _numbers(line)
        if values == []:
            continue
        box = _box(values, pose) if values else None
        if values is None or box is None or not values[0].is_integer():
            notes.append(Note(True, f"line {number}: not a label: {line.strip()[:60]!r}"))
            continue
        rows.append([values[0], *box])
        marks.append(f"line {number}")
        polygons += len(values) > 6 and len(values) != 5 + pose
    table = np.array(rows, np.float64).reshape(-1, 5)
    return Lines(Raw(table[:, 0].astype(np.int64), table[:, 1:], tuple(marks)), tuple(notes), polygons)


def _numbers(line: str) -> list[float] | None:
    try:
        values = [float(field) for field in line.split()]
    except ValueError:
        return None
    return values if not values or abs(values[0]) < 1e6 else None  # NaN is not less


def _box(values: list[float], pose: int) -> list[float] | None:
    """Return the corners of what a line describes, in shares; nothing where it is no label."""
    if len(values) in {5, 5 + pose}:
        x, y, width, height = values[1:5]
        return [x - width / 2, y - height / 2, x + width / 2, y + height / 2]
    if len(values) >= 7 and len(values) % 2:
        return [min(values[1::2]), min(values[2::2]), max(values[1::2]), max(values[2::2])]
    return None
