"""The shapes of VIA."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from pipeline.core import shapes
from pipeline.core.shapes import Shape


def shape(drawn: Mapping[str, Any]) -> Shape:
    """Turn shape attributes into what they stand for.

    Raises:
        ValueError: They describe nothing with an area.
    """
    kind = drawn.get("name")
    if not isinstance(kind, str):
        raise ValueError("no shape")
    if kind == "rect":
        x, y, width, height = (shapes.number(drawn.get(side)) for side in ("x", "y", "width", "height"))
        return shapes.box((x, y, x + width, y + height))
    if kind == "polygon":
        return _polygon(drawn.get("all_points_x"), drawn.get("all_points_y"))
    if kind == "circle":
        radius = shapes.number(drawn.get("r"))
        return shapes.ellipse(_centre(drawn), (radius, radius))
    if kind == "ellipse":
        radii = shapes.number(drawn.get("rx")), shapes.number(drawn.get("ry"))
        degrees = math.degrees(shapes.number(drawn.get("theta") or 0))
        return shapes.ellipse(_centre(drawn), radii, degrees=degrees)
    raise ValueError(f"{kind[:40]} is no shape with an area")


def _polygon(across: Any, down: Any) -> Shape:
    if not isinstance(across, list) or not isinstance(down, list) or len(across) != len(down):
        raise ValueError("a polygon without as many y as x")
    return shapes.outline(shapes.ring([[x, y] for x, y in zip(across, down, strict=True)]))


def _centre(drawn: Mapping[str, Any]) -> tuple[float, float]:
    return shapes.number(drawn.get("cx")), shapes.number(drawn.get("cy"))
