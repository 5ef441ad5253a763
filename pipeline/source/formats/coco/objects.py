"""Parse the objects of one image in COCO JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from pipeline.core.annotations import RawObjects
from pipeline.core.arrays import FloatArray
from pipeline.core.findings import AnnotationNote
from pipeline.source.formats.coco.categories import CategoryIndices, normalize_id
from pipeline.source.formats.coco.shapes import parse_bbox, parse_keypoints, parse_segmentation
from pipeline.source.plausibility.rival_annotations import LabeledBoxes
from pipeline.source.reading.shapes import ROTATED, enclose_rotated_box

JsonObject = Mapping[str, Any]


class CocoObject(NamedTuple):
    """One valid annotation.

    Attributes:
        class_index: The class.
        box: x1 y1 x2 y2 in pixels.
        mark: The name of the annotation in reports.
        parts: The outer rings (k, 2) of the outline, empty if there is none.
        points: Keypoints (points, 3): x, y in pixels and visibility.
    """

    class_index: int
    box: Sequence[float]
    mark: str
    parts: tuple[FloatArray, ...]
    points: FloatArray


def list_labeled_boxes(rows: Sequence[JsonObject], indices: CategoryIndices) -> LabeledBoxes:
    """Return the class and the box of each annotation that has a box."""
    boxed = [row for row in rows if parse_bbox(row)]
    boxes = np.array([row["bbox"] for row in boxed], np.float64).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    labels = (indices.get(normalize_id(row.get("category_id")), -1) for row in boxed)
    return LabeledBoxes(tuple(map(str, labels)), boxes)


def parse_objects(
    rows: Sequence[tuple[JsonObject, CategoryIndices]], size: tuple[int, int] | None = None
) -> tuple[RawObjects, list[AnnotationNote]]:
    """Parse the annotations of one image; invalid ones become notes.

    Args:
        rows: The annotations, each with the class indices of its file's categories.
        size: Width and height of the image in pixels, if stated.
    """
    found: list[CocoObject] = []
    notes: list[AnnotationNote] = []
    for row, indices in rows:
        item, item_notes = _parse_object(row, indices, size)
        found += [item] if item else []
        notes += item_notes
    has_outlines, has_keypoints = (
        any(item.parts for item in found),
        any("keypoints" in row for row, _ in rows),
    )
    raw = RawObjects(
        np.array([item.class_index for item in found], np.int64),
        np.array([item.box for item in found], np.float64).reshape(-1, 4),
        tuple(item.mark for item in found),
        tuple(item.parts for item in found) if has_outlines else (),
        tuple(item.points for item in found) if has_keypoints else (),
    )
    return raw, notes


def name_annotation(row: JsonObject) -> str:
    """Return the name of an annotation in reports."""
    return f"annotation {row.get('id')}"


def _parse_object(
    row: JsonObject, indices: CategoryIndices, size: tuple[int, int] | None
) -> tuple[CocoObject | None, list[AnnotationNote]]:
    mark, class_index = name_annotation(row), indices.get(normalize_id(row.get("category_id")))
    if class_index is None:
        reason = f"category {repr(row.get('category_id'))[:60]} is not in the list of categories"
        return None, [AnnotationNote(True, f"{mark}: {reason}", "class-out-of-range")]
    if row.get("iscrowd"):
        return None, [AnnotationNote(True, f"{mark}: a crowd, not one object (iscrowd)", "crowd")]
    outline = parse_segmentation(row, size)
    box = parse_bbox(row)
    points, point_notes = parse_keypoints(row)
    told = (*outline.notes, *point_notes)
    notes = [note._replace(reason=f"{mark}: {note.reason}") for note in told]
    if box is None and outline.parts:
        corners = np.concatenate(outline.parts)
        box = [*corners.min(axis=0).tolist(), *corners.max(axis=0).tolist()]
        notes.append(AnnotationNote(False, f"{mark}: no bbox of four numbers: taken from its outline"))
    attributes = row.get("attributes")
    rotation = attributes.get("rotation") if isinstance(attributes, dict) else None
    if box and not outline.parts and (around := enclose_rotated_box(box, rotation)):
        box = list(around)
        notes.append(AnnotationNote(False, f"{mark}: rotated by {rotation} degrees: {ROTATED}"))
    if box is None:
        reason = f"bbox {repr(row.get('bbox'))[:60]} is not four numbers"
        return None, [AnnotationNote(True, f"{mark}: {reason}", "malformed")]
    return CocoObject(class_index, box, mark, outline.parts, points), notes
