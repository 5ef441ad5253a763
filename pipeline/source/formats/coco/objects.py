"""The objects of one image in COCO JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from pipeline.core.annotations import RawObjects
from pipeline.core.arrays import FloatArray
from pipeline.core.findings import AnnotationNote
from pipeline.source.formats.coco import shapes
from pipeline.source.formats.coco.categories import CategoryIndices

JsonObject = Mapping[str, Any]


class CocoObject(NamedTuple):
    """One annotation that can be used."""

    cls: int
    box: Sequence[float]
    mark: str
    parts: tuple[FloatArray, ...]
    points: FloatArray


def objects(
    rows: Sequence[tuple[JsonObject, CategoryIndices]], size: tuple[int, int] | None = None
) -> tuple[RawObjects, list[AnnotationNote]]:
    """Turn annotations into objects, and name those that are none.

    Args:
        rows: Annotations of one image, each with the class indices of its file's categories.
        size: Width and height of the image, where stated.
    """
    found: list[CocoObject] = []
    notes: list[AnnotationNote] = []
    for row, indices in rows:
        item, noted = _object(row, indices, size)
        found += [item] if item else []
        notes += noted
    outlined, posed = any(item.parts for item in found), any("keypoints" in row for row, _ in rows)
    raw = RawObjects(
        np.array([item.cls for item in found], np.int64),
        np.array([item.box for item in found], np.float64).reshape(-1, 4),
        tuple(item.mark for item in found),
        tuple(item.parts for item in found) if outlined else (),
        tuple(item.points for item in found) if posed else (),
    )
    return raw, notes


def mark(row: JsonObject) -> str:
    """Name an annotation in reports."""
    return f"annotation {row.get('id')}"


def _object(
    row: JsonObject, indices: CategoryIndices, size: tuple[int, int] | None
) -> tuple[CocoObject | None, list[AnnotationNote]]:
    category = row.get("category_id")
    if not isinstance(category, int | str) or category not in indices:
        reason = f"category {repr(category)[:60]} is not in the list of categories"
        return None, [AnnotationNote(True, f"{mark(row)}: {reason}", "class-out-of-range")]
    if row.get("iscrowd"):
        return None, [AnnotationNote(True, f"{mark(row)}: a crowd, not one object (iscrowd)", "crowd")]
    outline = shapes.outline(row, size)
    box = shapes.box(row)
    notes = [note._replace(reason=f"{mark(row)}: {note.reason}") for note in outline.notes]
    if box is None and outline.parts:
        points = np.concatenate(outline.parts)
        box = [*points.min(axis=0).tolist(), *points.max(axis=0).tolist()]
        notes.append(AnnotationNote(False, f"{mark(row)}: no bbox of four numbers: taken from its outline"))
    if box is None:
        reason = f"bbox {repr(row.get('bbox'))[:60]} is not four numbers"
        return None, [AnnotationNote(True, f"{mark(row)}: {reason}", "malformed")]
    return CocoObject(indices[category], box, mark(row), outline.parts, shapes.keypoints(row)), notes
