"""Outlines as rings of points: cut at the image's edge or by what covers them, joined where they fall apart.

A YOLO label holds one ring per object. What falls into parts, or has a hole, becomes one ring all the same:
its rings are joined by a line there and back between their nearest points, which has no area. Filled, such a
ring is the object, but for pixels that this line touches; Ultralytics joins the parts of a COCO object so too
(ultralytics.data.converter.merge_multi_segment).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import shapely
from numpy.typing import NDArray

from pipeline.core.arrays import FloatArray

GONE: Final = np.zeros((1, 2))
"""What is left of an outline of which nothing is left: a point, which has no extent."""
CRUMB: Final = 0.25
"""Square pixels: a smaller part is none."""
MOST: Final = 1000
"""Points of a ring that are looked at for where to join it."""


def region(outline: FloatArray) -> shapely.Geometry:
    """Return what an outline (k, 2) encloses; where it crosses itself, by the even-odd rule."""
    found = shapely.Polygon(outline if len(outline) > 2 else None)
    if found.is_valid:
        return found
    parts = [part for part in shapely.get_parts(shapely.make_valid(found)) if part.area > 0]
    return shapely.union_all(parts)


def clip(outline: FloatArray, width: int, height: int) -> tuple[FloatArray, float]:
    """Cut an outline (k, 2) at the image's edges; return the part inside and its share of the area."""
    if outline.min() >= 0 and (outline <= (width, height)).all():
        return outline, 1.0
    whole = region(outline)
    inside = whole.intersection(shapely.box(0, 0, width, height))
    return joined(inside), inside.area / whole.area if whole.area else 0.0


def without(outline: FloatArray, cover: shapely.Geometry) -> tuple[FloatArray, float]:
    """Cut away what is covered; return the rest and its share of the area."""
    whole = region(outline)
    if not whole.intersects(cover):
        return outline, 1.0
    rest = whole.difference(cover)
    return joined(rest), rest.area / whole.area if whole.area else 0.0


def joined(found: shapely.Geometry) -> FloatArray:
    """Return one ring (k, 2) around all parts and holes of a region; `GONE` where it has no area."""
    parts = [shapely.geometry.polygon.orient(part) for part in shapely.get_parts(found) if part.area >= CRUMB]
    parts.sort(key=lambda part: -part.area)
    rings = [np.array(ring.coords[:-1]) for part in parts for ring in (part.exterior, *part.interiors)]
    return join(rings) if rings else GONE


def join(rings: Sequence[FloatArray]) -> FloatArray:
    """Join rings (k, 2) one after the other, each where it is nearest to those before."""
    whole = rings[0]
    for ring in rings[1:]:
        near, far = _candidates(whole), _candidates(ring)
        gaps = ((whole[near, None] - ring[None, far]) ** 2).sum(axis=2)
        here, there = np.unravel_index(gaps.argmin(), gaps.shape)
        here, turned = near[here], np.roll(ring, -far[there], axis=0)
        whole = np.concatenate([whole[: here + 1], turned, turned[:1], whole[here:]])
    return whole


def _candidates(ring: FloatArray) -> NDArray[np.int64]:
    """Return the points at which a ring may be joined: every one, or of very many every second, third, ..."""
    return np.arange(0, len(ring), -(-len(ring) // MOST))
