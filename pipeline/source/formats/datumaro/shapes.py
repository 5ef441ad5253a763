"""Build the shapes of Datumaro annotations: bbox, rotated bbox, polygon, mask, ellipse, label."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from pipeline.core.arrays import FloatArray
from pipeline.source.formats.coco.shapes import parse_segmentation
from pipeline.source.reading.shapes import (
    TAG,
    Shape,
    build_box,
    build_ellipse,
    build_outline,
    parse_coordinate,
    parse_ring,
    rotate_box,
)

_LEFT_OUT: Final = "caption"
"""The type of annotations of a whole image that state no class."""


def is_left_out(row: Any) -> bool:
    """Check for an annotation that is no object and no class."""
    return isinstance(row, dict) and row.get("type") == _LEFT_OUT


def build_annotation_shape(row: Mapping[str, Any]) -> Shape:
    """Build the shape of one annotation.

    Raises:
        ValueError: It has no area, or cannot be read.
    """
    kind = row.get("type")
    if kind == "label":
        return TAG
    if kind == "bbox":
        return _build_bbox(row)
    if kind == "rotated_bbox":
        x, y, width, height, degrees = _parse_numbers(row.get("rbbox", row.get("bbox")), 5)
        upright = build_box((x - width / 2, y - height / 2, x + width / 2, y + height / 2))
        return rotate_box(upright, degrees, (x, y))
    if kind == "polygon":
        return build_outline(parse_ring(_pair_points(row.get("points")).tolist()))
    if kind == "mask":
        return _outline_mask(row)
    if kind == "ellipse":
        x1, y1, x2, y2 = _parse_numbers(row.get("points"), 4)
        return build_ellipse(((x1 + x2) / 2, (y1 + y2) / 2), (abs(x2 - x1) / 2, abs(y2 - y1) / 2))
    raise ValueError(f"a {str(kind)[:40]}, which has no area")


def _build_bbox(row: Mapping[str, Any]) -> Shape:
    """Build a box of x, y, width, height; CVAT states its rotation in degrees as an attribute."""
    x, y, width, height = _parse_numbers(row.get("bbox"), 4)
    attributes = row.get("attributes")
    stated = attributes.get("rotation", 0) if isinstance(attributes, dict) else 0
    degrees = parse_coordinate(stated or 0)
    return rotate_box(build_box((x, y, x + width, y + height)), degrees, (x + width / 2, y + height / 2))


def _outline_mask(row: Mapping[str, Any]) -> Shape:
    found = parse_segmentation({"segmentation": row.get("rle")})
    if not found.parts:
        raise ValueError(found.notes[0].reason if found.notes else "a mask without rle")
    holes = sum(note.kind == "hole" for note in found.notes)
    return build_outline(*found.parts, holes=holes)


def _pair_points(points: Any) -> FloatArray:
    if not isinstance(points, list) or len(points) % 2:
        raise ValueError("points that are no pairs of x and y")
    return np.array([parse_coordinate(value) for value in points], np.float64).reshape(-1, 2)


def _parse_numbers(stated: Any, count: int) -> list[float]:
    if not isinstance(stated, list) or len(stated) != count:
        raise ValueError(f"not {count} numbers: {str(stated)[:40]}")
    return [parse_coordinate(value) for value in stated]
