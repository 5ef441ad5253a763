"""Check an object's outline, and mend what has one clear answer: crossings, parts, what lies outside."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import shapely
from numpy.typing import NDArray

from pipeline.core.arrays import FloatArray
from pipeline.core.geometry import polygons
from pipeline.core.geometry.polygons import CRUMB
from pipeline.core.geometry.rotated_boxes import shrink
from pipeline.core.text import format_count
from pipeline.prepare.annotations.boxes import ROUNDING, ObjectRepair, UnusableObjectError, text
from pipeline.prepare.annotations.convert import rectangle

FARTHEST: Final = 1e7
"""Pixels: geometry with larger coordinates loses its precision, and no image is that large."""
CROSSED: Final = 0.01
"""Share of an outline's area: two ways of measuring it that differ by more tell of a crossing."""


def mend(parts: Sequence[FloatArray], size: tuple[int, int]) -> tuple[FloatArray, list[ObjectRepair]]:
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
    shape = drawn[0] if whole else shapely.union_all([polygons.region(ring) for ring in rings])
    if shape.area < CRUMB:
        raise UnusableObjectError(
            "no-area", f"no area: {shape.area:.3g} square pixels at {text(np.concatenate(rings))}"
        )
    if crossing := not sound and _crossing(rings, shape):
        found.append(("self-crossing", "its outline crosses itself: taken as what it encloses"))
    if clipped := _excess(rings, size) > ROUNDING:
        shape = shapely.intersection(shape, shapely.box(0, 0, *size))
        found.append(("clipped", f"its outline clipped to the image of {size[0]} x {size[1]} pixels"))
    changed = crossing or clipped or len(rings) > 1
    outline = np.clip(polygons.joined(shape) if changed else rings[0], 0, size)
    if area(outline) < CRUMB:
        raise UnusableObjectError(
            "outside", f"outside the image of {size[0]} x {size[1]} pixels: {text(rings[0])}"
        )
    return outline, found


def area(ring: FloatArray) -> float:
    """Return the area that a ring (k, 2) goes round (the shoelace formula)."""
    x, y = (ring - ring[0]).T
    return abs(float(x @ np.roll(y, -1) - y @ np.roll(x, -1))) / 2


def _whole(parts: Sequence[FloatArray]) -> tuple[list[FloatArray], list[ObjectRepair]]:
    """Keep the parts that have three points or more."""
    if not parts:
        raise UnusableObjectError("no-outline", "a box without an outline")
    points = np.concatenate(parts)
    if not np.isfinite(points).all():
        raise UnusableObjectError("no-number", f"coordinates that are no numbers: {text(points)}")
    if np.abs(points).max(initial=0) > FARTHEST:
        raise UnusableObjectError("outside", f"coordinates beyond any image: {text(points)}")
    rings = [ring for ring in map(_open, parts) if len({*map(tuple, ring.tolist())}) >= 3]
    if not rings:
        raise UnusableObjectError("few-points", f"an outline needs three points or more: {text(points)}")
    lost = len(parts) - len(rings)
    left_out = f"{format_count(lost, 'part')} with fewer than three points left out"
    return rings, [("few-points", left_out)] if lost else []


def _open(ring: FloatArray) -> FloatArray:
    """Leave out points that repeat the one before, and a last one that repeats the first."""
    opened: FloatArray = ring[(ring != np.roll(ring, 1, axis=0)).any(axis=1)]
    return opened


def _crossing(rings: Sequence[FloatArray], shape: shapely.Geometry) -> bool:
    """Tell whether a ring crosses itself; where it only touches itself, or has bridges, its area adds up."""
    walked = sum(area(ring) for ring in rings)
    return bool(abs(walked - shape.area) > max(CROSSED * shape.area, CRUMB))


def _excess(rings: Sequence[FloatArray], size: tuple[int, int]) -> float:
    """Return by how many pixels any ring leaves the image."""
    points = np.concatenate(rings)
    return float(max(-points.min(), (points - np.array(size)).max()))


FILLED: Final = 0.8
"""Share of the smallest rectangle around them that four corners must enclose to pass for a rectangle."""


EXACT: Final = 0.999
"""From this share on, the corners stay as they are: less is how a format rounds."""


def repair_rectangle(
    parts: Sequence[FloatArray], size: tuple[int, int]
) -> tuple[FloatArray, list[ObjectRepair]]:
    """Return the four corners (4, 2) of a rectangle whose visible part fills it, and what was changed.

    A rectangle that is cut by the image's border keeps its direction and shrinks to what is visible; its
    corners may lie outside the image.

    Args:
        parts: One part of four corners, x and y in pixels.
        size: Width and height of the image in pixels.

    Raises:
        Unfit: There are no corners, coordinates that are no numbers, no area, or it lies outside.
    """
    corners = np.concatenate(parts) if parts else np.zeros((0, 2))
    if not np.isfinite(corners).all() or np.abs(corners).max(initial=0) > FARTHEST:
        raise UnusableObjectError(
            "no-number", f"coordinates that are no numbers, or beyond any image: {text(corners)}"
        )
    if len(corners) < 3:
        raise UnusableObjectError("few-points", f"a rotated box needs four corners: {text(corners)}")
    fitted, found = _fitted(corners)
    if (fitted >= 0).all() and (fitted <= size).all():
        return fitted, found
    visible = shapely.intersection(shapely.Polygon(fitted), shapely.box(0, 0, *size))
    if visible.area < ROUNDING**2:
        raise UnusableObjectError(
            "outside", f"outside the image of {size[0]} x {size[1]} pixels: {text(corners)}"
        )
    shrunk = shrink(fitted, np.array(visible.exterior.coords[:-1]), size)
    if np.abs(shrunk - fitted).max() <= ROUNDING:
        return fitted, found
    found.append(("clipped", f"shrunk to what the image of {size[0]} x {size[1]} pixels shows of it"))
    return shrunk, found


def _fitted(corners: FloatArray) -> tuple[FloatArray, list[ObjectRepair]]:
    """Return the corners if they are a rectangle's, or else the smallest rectangle around them."""
    around = rectangle(corners)
    if around is None or min(_sides(around)) < ROUNDING:
        raise UnusableObjectError("no-area", f"no area: {text(corners)}")
    share = shapely.Polygon(corners).area / shapely.Polygon(around).area
    if len(corners) == 4 and share > EXACT:
        return corners, []
    if len(corners) == 4 and share > FILLED:
        return around, []
    return around, [("no-rectangle", f"no rectangle: taken as the smallest one around {text(corners)}")]


def _sides(corners: FloatArray) -> tuple[float, float]:
    return float(np.linalg.norm(corners[1] - corners[0])), float(np.linalg.norm(corners[3] - corners[0]))


def repair_keypoints(
    points: FloatArray, size: tuple[int, int], *, count: int
) -> tuple[FloatArray, list[ObjectRepair]]:
    """Return key points (count, 3), those outside the image taken as not labelled, and what was changed.

    Args:
        points: (count, 3) x, y in pixels and visibility; of no length where the object has none.
        size: Width and height of the image in pixels.
        count: Points of a pose.

    Raises:
        Unfit: The object has another number of points.
    """
    if not len(points):
        return np.zeros((count, 3)), [("no-keypoints", "a box without key points")]
    if points.shape != (count, 3):
        raise UnusableObjectError(
            "malformed", f"{format_count(len(points), 'key point')}, but a pose has {count}"
        )
    placed, lost = clip_keypoints(points, size)
    return placed, _findings(int(lost.sum()), int((placed[:, 2] > 0).sum()))


def clip_keypoints(points: FloatArray, size: tuple[int, int]) -> tuple[FloatArray, NDArray[np.bool_]]:
    """Return key points (..., 3), those outside the image not labelled; and (...) which of them those are.

    Args:
        points: (..., 3) x, y in pixels and visibility.
        size: Width and height of the image in pixels.
    """
    limits, given = np.array(size, np.float64), points[..., 2] > 0
    excess = np.maximum(-points[..., :2], points[..., :2] - limits).max(axis=-1)  # NaN is not within
    seen = given & (excess <= ROUNDING)
    clipped = np.clip(np.where(seen[..., None], points[..., :2], 0), 0, limits)
    visibility = np.where(seen, np.clip(np.round(np.where(seen, points[..., 2], 0)), 1, 2), 0)
    return np.concatenate([clipped, visibility[..., None]], axis=-1), given & ~seen


def _findings(hidden: int, seen: int) -> list[ObjectRepair]:
    found: list[ObjectRepair] = []
    if hidden:
        found.append(
            ("hidden-point", f"{format_count(hidden, 'key point')} outside the image: taken as not labelled")
        )
    if not seen:
        found.append(("no-keypoints", "none of its key points is labelled"))
    return found
