"""Check and repair outlines, rotated boxes and key points where there is one clear answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import shapely
from numpy.typing import NDArray

from pipeline.core.arrays import FloatArray
from pipeline.core.geometry.polygons import MIN_PART_AREA, build_region, region_to_outline
from pipeline.core.geometry.rotated_boxes import shrink_rotated_box
from pipeline.core.text import format_count
from pipeline.prepare.annotations.boxes import (
    ROUNDING_TOLERANCE,
    ObjectRepair,
    UnusableObjectError,
    format_coordinates,
)
from pipeline.prepare.annotations.convert import fit_rectangle

MAX_COORDINATE: Final = 1e7
"""Pixels. With larger coordinates, geometry loses its precision, and no image is that large."""
CROSSING_TOLERANCE: Final = 0.01
"""Share of an outline's area: if two ways to measure the area differ by more, the outline crosses itself."""
MIN_RECTANGLE_FILL: Final = 0.8
"""Share of the smallest rectangle around them that four corners must enclose to count as a rectangle."""
EXACT_RECTANGLE_FILL: Final = 0.999
"""From this share on, the corners are kept as they are: the difference is rounding in the format."""


def repair_outline(
    parts: Sequence[FloatArray], size: tuple[int, int]
) -> tuple[FloatArray, list[ObjectRepair]]:
    """Return one outline (k, 2) inside the image, and what was repaired.

    The regions that a self-crossing outline encloses, and several parts, are joined by bridges without
    width. What is outside the image is cut off. A valid outline is returned as it is.

    Args:
        parts: Rings (k, 2) of x and y in pixels.
        size: Width and height of the image in pixels.

    Raises:
        UnusableObjectError: The outline has no parts or no area, a coordinate is not a number, or the outline
            is outside the image.
    """
    rings, repairs = _usable_rings(parts)
    ring_polygons = [shapely.Polygon(ring) for ring in rings]
    all_valid = all(polygon.is_valid for polygon in ring_polygons)
    single = all_valid and len(rings) == 1
    region = ring_polygons[0] if single else shapely.union_all([build_region(ring) for ring in rings])
    if region.area < MIN_PART_AREA:
        raise UnusableObjectError(
            "no-area",
            f"no area: {region.area:.3g} square pixels at {format_coordinates(np.concatenate(rings))}",
        )
    if crossing := not all_valid and _is_self_crossing(rings, region):
        repairs.append(("self-crossing", "its outline crosses itself: taken as what it encloses"))
    if clipped := _max_excess(rings, size) > ROUNDING_TOLERANCE:
        region = shapely.intersection(region, shapely.box(0, 0, *size))
        repairs.append(("clipped", f"its outline clipped to the image of {size[0]} x {size[1]} pixels"))
    changed = crossing or clipped or len(rings) > 1
    outline = np.clip(region_to_outline(region) if changed else rings[0], 0, size)
    if compute_ring_area(outline) < MIN_PART_AREA:
        raise UnusableObjectError(
            "outside", f"outside the image of {size[0]} x {size[1]} pixels: {format_coordinates(rings[0])}"
        )
    return outline, repairs


def compute_ring_area(ring: FloatArray) -> float:
    """Return the area inside a ring (k, 2), by the shoelace formula."""
    x, y = (ring - ring[0]).T
    return abs(float(x @ np.roll(y, -1) - y @ np.roll(x, -1))) / 2


def _usable_rings(parts: Sequence[FloatArray]) -> tuple[list[FloatArray], list[ObjectRepair]]:
    """Keep the parts that have three different points or more."""
    if not parts:
        raise UnusableObjectError("no-outline", "a box without an outline")
    points = np.concatenate(parts)
    if not np.isfinite(points).all():
        raise UnusableObjectError(
            "no-number", f"coordinates that are no numbers: {format_coordinates(points)}"
        )
    if np.abs(points).max(initial=0) > MAX_COORDINATE:
        raise UnusableObjectError("outside", f"coordinates beyond any image: {format_coordinates(points)}")
    without_repeats = map(_remove_repeated_points, parts)
    rings = [ring for ring in without_repeats if len({*map(tuple, ring.tolist())}) >= 3]
    if not rings:
        raise UnusableObjectError(
            "few-points", f"an outline needs three points or more: {format_coordinates(points)}"
        )
    dropped = len(parts) - len(rings)
    reason = f"{format_count(dropped, 'part')} with fewer than three points left out"
    return rings, [("few-points", reason)] if dropped else []


def _remove_repeated_points(ring: FloatArray) -> FloatArray:
    """Remove points equal to the one before, and the last point where it equals the first."""
    opened: FloatArray = ring[(ring != np.roll(ring, 1, axis=0)).any(axis=1)]
    return opened


def _is_self_crossing(rings: Sequence[FloatArray], region: shapely.Geometry) -> bool:
    """Compare areas: where a ring only touches itself, or has bridges, both ways give the same area."""
    ring_area = sum(compute_ring_area(ring) for ring in rings)
    return bool(abs(ring_area - region.area) > max(CROSSING_TOLERANCE * region.area, MIN_PART_AREA))


def _max_excess(rings: Sequence[FloatArray], size: tuple[int, int]) -> float:
    """Return by how many pixels the rings leave the image, at most."""
    points = np.concatenate(rings)
    return float(max(-points.min(), (points - np.array(size)).max()))


def repair_rectangle(
    parts: Sequence[FloatArray], size: tuple[int, int]
) -> tuple[FloatArray, list[ObjectRepair]]:
    """Return the four corners (4, 2) of a rectangle that its visible part fills, and what was repaired.

    A rectangle cut by the border of the image keeps its direction and shrinks to its visible part. Its
    corners may be outside the image.

    Args:
        parts: One part of four corners, x and y in pixels.
        size: Width and height of the image in pixels.

    Raises:
        UnusableObjectError: There are no corners, a coordinate is not a number, or the rectangle has no area
            or is outside the image.
    """
    corners = np.concatenate(parts) if parts else np.zeros((0, 2))
    if not np.isfinite(corners).all() or np.abs(corners).max(initial=0) > MAX_COORDINATE:
        raise UnusableObjectError(
            "no-number",
            f"coordinates that are no numbers, or beyond any image: {format_coordinates(corners)}",
        )
    if len(corners) < 3:
        raise UnusableObjectError(
            "few-points", f"a rotated box needs four corners: {format_coordinates(corners)}"
        )
    rectangle, repairs = _corners_to_rectangle(corners)
    if (rectangle >= 0).all() and (rectangle <= size).all():
        return rectangle, repairs
    visible = shapely.intersection(shapely.Polygon(rectangle), shapely.box(0, 0, *size))
    if visible.area < ROUNDING_TOLERANCE**2:
        raise UnusableObjectError(
            "outside", f"outside the image of {size[0]} x {size[1]} pixels: {format_coordinates(corners)}"
        )
    shrunk = shrink_rotated_box(rectangle, np.array(visible.exterior.coords[:-1]), size)
    if np.abs(shrunk - rectangle).max() <= ROUNDING_TOLERANCE:
        return rectangle, repairs
    repairs.append(("clipped", f"shrunk to what the image of {size[0]} x {size[1]} pixels shows of it"))
    return shrunk, repairs


def _corners_to_rectangle(corners: FloatArray) -> tuple[FloatArray, list[ObjectRepair]]:
    """Return the corners if they form a rectangle, else the smallest rectangle around them."""
    around = fit_rectangle(corners)
    if around is None or min(_side_lengths(around)) < ROUNDING_TOLERANCE:
        raise UnusableObjectError("no-area", f"no area: {format_coordinates(corners)}")
    fill = shapely.Polygon(corners).area / shapely.Polygon(around).area
    if len(corners) == 4 and fill > EXACT_RECTANGLE_FILL:
        return corners, []
    if len(corners) == 4 and fill > MIN_RECTANGLE_FILL:
        return around, []
    return around, [
        ("no-rectangle", f"no rectangle: taken as the smallest one around {format_coordinates(corners)}")
    ]


def _side_lengths(corners: FloatArray) -> tuple[float, float]:
    return float(np.linalg.norm(corners[1] - corners[0])), float(np.linalg.norm(corners[3] - corners[0]))


def repair_keypoints(
    points: FloatArray, size: tuple[int, int], *, count: int
) -> tuple[FloatArray, list[ObjectRepair]]:
    """Return key points (count, 3) and what was repaired; points outside the image become not labelled.

    Args:
        points: (count, 3) x, y in pixels and visibility; empty where the object has none.
        size: Width and height of the image in pixels.
        count: Number of key points of a pose.

    Raises:
        UnusableObjectError: The object has another number of key points.
    """
    if not len(points):
        return np.zeros((count, 3)), [("no-keypoints", "a box without key points")]
    if points.shape != (count, 3):
        raise UnusableObjectError(
            "malformed", f"{format_count(len(points), 'key point')}, but a pose has {count}"
        )
    keypoints, lost = clip_keypoints(points, size)
    odd = find_odd_visibilities(points) & ~lost
    return keypoints, _keypoint_repairs(
        lost=int(lost.sum()), odd=int(odd.sum()), labelled=int((keypoints[:, 2] > 0).sum())
    )


def find_odd_visibilities(points: FloatArray) -> NDArray[np.bool_]:
    """Return (...) which key points (..., 3) have a visibility above 0 that is neither 1 nor 2."""
    visibility = points[..., 2]
    return np.asarray((visibility > 0) & (visibility != 1) & (visibility != 2), np.bool_)


def clip_keypoints(points: FloatArray, size: tuple[int, int]) -> tuple[FloatArray, NDArray[np.bool_]]:
    """Mark key points outside the image as not labelled, and round visibilities to 0, 1 or 2.

    Args:
        points: (..., 3) x, y in pixels and visibility.
        size: Width and height of the image in pixels.

    Returns:
        The key points (..., 3), and (...) which of them were labelled outside the image.
    """
    limits, labelled = np.array(size, np.float64), points[..., 2] > 0
    excess = np.maximum(-points[..., :2], points[..., :2] - limits).max(axis=-1)  # NaN is not inside
    inside = labelled & (excess <= ROUNDING_TOLERANCE)
    clipped = np.clip(np.where(inside[..., None], points[..., :2], 0), 0, limits)
    visibility = np.where(inside, np.clip(np.round(np.where(inside, points[..., 2], 0)), 1, 2), 0)
    return np.concatenate([clipped, visibility[..., None]], axis=-1), labelled & ~inside


def _keypoint_repairs(*, lost: int, odd: int, labelled: int) -> list[ObjectRepair]:
    repairs: list[ObjectRepair] = []
    if lost:
        repairs.append(
            ("hidden-point", f"{format_count(lost, 'key point')} outside the image: taken as not labelled")
        )
    if odd:
        points = format_count(odd, "key point")
        repairs.append(
            ("hidden-point", f"{points} with a visibility that is not 0, 1 or 2: rounded to 1 or 2")
        )
    if not labelled:
        repairs.append(("no-keypoints", "none of its key points is labelled"))
    return repairs
