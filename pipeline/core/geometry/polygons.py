"""Clip outlines at the image's edge, subtract what covers them, and join several rings into one.

A YOLO label has one ring per object. An object of several parts or with a hole becomes one ring too: its
rings are connected at their nearest points by a line in both directions, which has no area. Filled, such a
ring is the object, except for pixels that the line touches. Ultralytics joins the parts of COCO objects in
the same way (ultralytics.data.converter.merge_multi_segment).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import shapely
from numpy.typing import NDArray

from pipeline.core.arrays import FloatArray

EMPTY_OUTLINE: Final = np.zeros((1, 2))
"""The outline of an empty region: one point, which has no extent."""
MIN_PART_AREA: Final = 0.25
"""In square pixels; smaller parts are dropped."""
MAX_JOIN_CANDIDATES: Final = 1000
"""Points of a ring that are compared to find where to join it."""


def build_region(outline: FloatArray) -> shapely.Geometry:
    """Return the region that an outline (k, 2) encloses; if it crosses itself, by the even-odd rule."""
    found = shapely.Polygon(outline if len(outline) > 2 else None)
    if found.is_valid:
        return found
    parts = [part for part in shapely.get_parts(shapely.make_valid(found)) if part.area > 0]
    return shapely.union_all(parts)


def clip_outline(outline: FloatArray, width: int, height: int) -> tuple[FloatArray, float]:
    """Clip an outline (k, 2) at the image's edges; return the part inside and its share of the area."""
    if outline.min() >= 0 and (outline <= (width, height)).all():
        return outline, 1.0
    whole = build_region(outline)
    inside = whole.intersection(shapely.box(0, 0, width, height))
    return region_to_outline(inside), inside.area / whole.area if whole.area else 0.0


def subtract_cover(outline: FloatArray, cover: shapely.Geometry) -> tuple[FloatArray, float]:
    """Subtract a covering region from an outline (k, 2); return the rest and its share of the area."""
    whole = build_region(outline)
    if not whole.intersects(cover):
        return outline, 1.0
    rest = whole.difference(cover)
    return region_to_outline(rest), rest.area / whole.area if whole.area else 0.0


def region_to_outline(found: shapely.Geometry) -> FloatArray:
    """Return one ring (k, 2) around all parts and holes of a region; `EMPTY_OUTLINE` if it has no area."""
    parts = [
        shapely.geometry.polygon.orient(part)
        for part in shapely.get_parts(found)
        if part.area >= MIN_PART_AREA
    ]
    parts.sort(key=lambda part: -part.area)
    rings = [np.array(ring.coords[:-1]) for part in parts for ring in (part.exterior, *part.interiors)]
    return join_rings(rings) if rings else EMPTY_OUTLINE


def join_rings(rings: Sequence[FloatArray]) -> FloatArray:
    """Join rings (k, 2) into one, each at the point that is nearest to the rings before it."""
    whole = rings[0]
    for ring in rings[1:]:
        near, far = _join_candidates(whole), _join_candidates(ring)
        gaps = ((whole[near, None] - ring[None, far]) ** 2).sum(axis=2)
        here, there = np.unravel_index(gaps.argmin(), gaps.shape)
        here, turned = near[here], np.roll(ring, -far[there], axis=0)
        whole = np.concatenate([whole[: here + 1], turned, turned[:1], whole[here:]])
    return whole


def _join_candidates(ring: FloatArray) -> NDArray[np.int64]:
    """Return indices of the points where a ring may be joined: all, or every n-th of a very long ring."""
    return np.arange(0, len(ring), -(-len(ring) // MAX_JOIN_CANDIDATES))
