"""Parse the shapes of the VGG Image Annotator (VIA)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

from pipeline.source.reading.shapes import (
    Shape,
    build_box,
    build_ellipse,
    build_outline,
    parse_coordinate,
    parse_ring,
)

_V3_SHAPES: Final = (
    "",
    "point",
    "rect",
    "circle",
    "ellipse",
    "line",
    "polyline",
    "polygon",
    "rect",
    "circle",
)
"""Shapes of version 3 by number (_VIA_RSHAPE in its _via_metadata.js)."""
_V3_VALUE_NAMES: Final = {
    "rect": ("x", "y", "width", "height"),
    "circle": ("cx", "cy", "r"),
    "ellipse": ("cx", "cy", "rx", "ry"),
}


def expand_v3_shape(stated: Any) -> Mapping[str, Any]:
    """Convert a shape of version 3, a list of its number and coordinates, to shape attributes."""
    if not isinstance(stated, list) or not stated or stated[0] not in range(1, len(_V3_SHAPES)):
        return {}
    kind, values = _V3_SHAPES[int(stated[0])], stated[1:]
    if kind == "polygon":
        return {"name": kind, "all_points_x": values[::2], "all_points_y": values[1::2]}
    names = _V3_VALUE_NAMES.get(kind, ())
    if len(names) != len(values):
        return {"name": f"{kind} of {len(values)} numbers"}
    return {"name": kind, **dict(zip(names, values, strict=True))}


def parse_via_shape(attributes: Mapping[str, Any]) -> Shape:
    """Build a shape from shape attributes.

    Raises:
        ValueError: They do not describe a shape with an area.
    """
    kind = attributes.get("name")
    if not isinstance(kind, str):
        raise ValueError("no shape")
    if kind == "rect":
        x, y, width, height = (
            parse_coordinate(attributes.get(side)) for side in ("x", "y", "width", "height")
        )
        return build_box((x, y, x + width, y + height))
    if kind == "polygon":
        return _parse_polygon(attributes.get("all_points_x"), attributes.get("all_points_y"))
    if kind == "circle":
        radius = parse_coordinate(attributes.get("r"))
        return build_ellipse(_parse_center(attributes), (radius, radius))
    if kind == "ellipse":
        radii = parse_coordinate(attributes.get("rx")), parse_coordinate(attributes.get("ry"))
        degrees = math.degrees(parse_coordinate(attributes.get("theta") or 0))
        return build_ellipse(_parse_center(attributes), radii, degrees=degrees)
    raise ValueError(f"{kind[:40]} is no shape with an area")


def _parse_polygon(xs: Any, ys: Any) -> Shape:
    if not isinstance(xs, list) or not isinstance(ys, list) or len(xs) != len(ys):
        raise ValueError("a polygon without as many y as x")
    return build_outline(parse_ring([[x, y] for x, y in zip(xs, ys, strict=True)]))


def _parse_center(attributes: Mapping[str, Any]) -> tuple[float, float]:
    return parse_coordinate(attributes.get("cx")), parse_coordinate(attributes.get("cy"))
