"""The objects of one image in COCO JSON.

supervision turns annotations into boxes. It gives up on the whole dataset at the first object of a negative
extent or unknown category, and takes crowds for objects; these are found by hand before.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from supervision.dataset.formats.coco import coco_annotations_to_detections

from pipeline.core.boxes import Note, Raw
from pipeline.edges.datasets.categories import Indices

Row = Mapping[str, Any]

_EMPTY = Raw(np.zeros(0, np.int64), np.zeros((0, 4)), ())


def objects(rows: Iterable[tuple[Row, Indices]]) -> tuple[Raw, list[Note]]:
    """Let supervision turn annotations into boxes, after setting aside what it would stumble over.

    Args:
        rows: Annotations of one image, each with the class indices of its file's categories.
    """
    good, marks, notes = [], [], []
    for row, indices in rows:
        if fault := _fault(row, indices):
            notes.append(Note(True, f"{mark(row)}: {fault}"))
            continue
        upright = _upright(row["bbox"])
        if upright != row["bbox"]:
            notes.append(Note(False, f"{mark(row)}: negative width or height: {row['bbox']}"))
        good.append({"bbox": upright, "category_id": indices[row["category_id"]]})
        marks.append(mark(row))
    if not good:
        return _EMPTY, notes
    found = coco_annotations_to_detections(good, resolution_wh=(0, 0), with_masks=False, use_iscrowd=False)
    return Raw(found.class_id.astype(np.int64), found.xyxy.astype(np.float64), tuple(marks)), notes


def _fault(row: Row, indices: Indices) -> str:
    box = row.get("bbox")
    if not (isinstance(box, list) and len(box) == 4 and all(map(_plausible, box))):
        return f"bbox {repr(box)[:60]} is not four numbers"
    category = row.get("category_id")
    if not isinstance(category, int | str) or category not in indices:
        return f"category {category!r} is not in the list of categories"
    return "a crowd, not one object (iscrowd)" if row.get("iscrowd") else ""


def _plausible(value: object) -> bool:
    """Take numbers that single precision, in which supervision computes, can hold; NaN is not less."""
    return isinstance(value, int | float) and abs(value) < 1e9


def _upright(box: list[float]) -> list[float]:
    x, y, width, height = box
    return [min(x, x + width), min(y, y + height), abs(width), abs(height)]


def mark(row: Row) -> str:
    """Name an annotation in reports."""
    return f"annotation {row.get('id')}"
