"""Check an object's outline, and mend what has one clear answer: crossings, parts, what lies outside."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import shapely

from pipeline.core import outlines
from pipeline.core.boxes import ROUNDING, Boxes, Finding, Unfit, text
from pipeline.core.counting import counted
from pipeline.core.outlines import CRUMB

FARTHEST: Final = 1e7
"""Pixels: geometry with larger coordinates loses its precision, and no image is that large."""
CROSSED: Final = 0.01
"""Share of an outline's area: two ways of measuring it that differ by more tell of a crossing."""


def mend(parts: Sequence[Boxes], size: tuple[int, int]) -> tuple[Boxes, list[Finding]]:
    """Return one outline (k, 2) within the image, and what was changed.

    What a self-crossing outline encloses, and several parts, are joined by bridges without width; what lies
    outside is cut off. An outline that needs none of this stays as it is.

    Args:
        parts: Rings (k, 2) of x and y in pixels.
        size: Width and height of the image in pixels.

    Raises:
        Unfit: It has no parts, no area, or coordinates that are no numbers, or lies outside.
    """
    rings, found = _whole(parts)
    drawn = [shapely.Polygon(ring) for ring in rings]
    sound = all(ring.is_valid for ring in drawn)
    whole = sound and len(rings) == 1
    shape = drawn[0] if whole else shapely.union_all([outlines.region(ring) for ring in rings])
    if shape.area < CRUMB:
        raise Unfit("no-area", f"no area: {shape.area:.3g} square pixels at {text(np.concatenate(rings))}")
    if crossing := not sound and _crossing(rings, shape):
        found.append(("self-crossing", "its outline crosses itself: taken as what it encloses"))
    if clipped := _excess(rings, size) > ROUNDING:
        shape = shapely.intersection(shape, shapely.box(0, 0, *size))
        found.append(("clipped", f"its outline clipped to the image of {size[0]} x {size[1]} pixels"))
    changed = crossing or clipped or len(rings) > 1
    outline = np.clip(outlines.joined(shape) if changed else rings[0], 0, size)
    if area(outline) < CRUMB:
        raise Unfit("outside", f"outside the image of {size[0]} x {size[1]} pixels: {text(rings[0])}")
    return outline, found


def area(ring: Boxes) -> float:
    """Return the area that a ring (k, 2) goes round (the shoelace formula)."""
    x, y = (ring - ring[0]).T
    return abs(float(x @ np.roll(y, -1) - y @ np.roll(x, -1))) / 2


def _whole(parts: Sequence[Boxes]) -> tuple[list[Boxes], list[Finding]]:
    """Keep the parts that have three points or more."""
    if not parts:
        raise Unfit("no-outline", "a box without an outline")
    points = np.concatenate(parts)
    if not np.isfinite(points).all():
        raise Unfit("no-number", f"coordinates that are no numbers: {text(points)}")
    if np.abs(points).max(initial=0) > FARTHEST:
        raise Unfit("outside", f"coordinates beyond any image: {text(points)}")
    rings = [ring for ring in map(_open, parts) if len({*map(tuple, ring.tolist())}) >= 3]
    if not rings:
        raise Unfit("few-points", f"an outline needs three points or more: {text(points)}")
    lost = len(parts) - len(rings)
    left_out = f"{counted(lost, 'part')} with fewer than three points left out"
    return rings, [("few-points", left_out)] if lost else []


def _open(ring: Boxes) -> Boxes:
    """Leave out points that repeat the one before, and a last one that repeats the first."""
    opened: Boxes = ring[(ring != np.roll(ring, 1, axis=0)).any(axis=1)]
    return opened


def _crossing(rings: Sequence[Boxes], shape: shapely.Geometry) -> bool:
    """Tell whether a ring crosses itself; where it only touches itself, or has bridges, its area adds up."""
    walked = sum(area(ring) for ring in rings)
    return bool(abs(walked - shape.area) > max(CROSSED * shape.area, CRUMB))


def _excess(rings: Sequence[Boxes], size: tuple[int, int]) -> float:
    """Return by how many pixels any ring leaves the image."""
    points = np.concatenate(rings)
    return float(max(-points.min(), (points - np.array(size)).max()))
