"""The shapes of VIA."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

from pipeline.source.reading import shapes
from pipeline.source.reading.shapes import Shape

_KINDS: Final = ("", "point", "rect", "circle", "ellipse", "line", "polyline", "polygon", "rect", "circle")
"""Of version 3, by number (_VIA_RSHAPE in its _via_metadata.js)."""
_VALUES: Final = {
    "rect": ("x", "y", "width", "height"),
    "circle": ("cx", "cy", "r"),
    "ellipse": ("cx", "cy", "rx", "ry"),
}


def numbered(stated: Any) -> Mapping[str, Any]:
    """Return the shape attributes that a list of version 3 stands for: a kind's number, and coordinates."""
    if not isinstance(stated, list) or not stated or stated[0] not in range(1, len(_KINDS)):
        return {}
    kind, values = _KINDS[int(stated[0])], stated[1:]
    if kind == "polygon":
        return {"name": kind, "all_points_x": values[::2], "all_points_y": values[1::2]}
    names = _VALUES.get(kind, ())
    if len(names) != len(values):
        return {"name": f"{kind} of {len(values)} numbers"}
    return {"name": kind, **dict(zip(names, values, strict=True))}


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
