"""Shapes that annotation tools draw: boxes, rotated boxes, outlines, poses, and tags of a whole image.

An impossible value raises ValueError; the message becomes a finding about that object.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Literal, NamedTuple

import numpy as np

from pipeline.core.arrays import FloatArray
from pipeline.core.text import format_count

ShapeKind = Literal["box", "rotated", "outline", "pose", "tag"]
Keypoint = tuple[float, float, int]

ROTATED: Final = "the upright box around it is taken; CVAT for images and Datumaro keep the rotation"
"""What becomes of a rotated box in formats of upright ones, for notes."""
_MAX_COORDINATE: Final = 1e9
"""Largest coordinate in pixels; comparing with it also rejects NaN."""
_ELLIPSE_CORNERS: Final = 64
"""Corners of the polygon that replaces an ellipse; it covers 99.8% of its area."""


class Shape(NamedTuple):
    """One annotated shape, in pixels or as fractions of the image size.

    Attributes:
        kind: The kind of shape.
        parts: Rings (k, 2) of x and y: the corners of a box or of the box of a pose, or the outer rings of an
            outline; none for a tag.
        points: Keypoints of a pose by name: x, y, and visibility (0 not labeled, 1 hidden, 2 visible).
        holes: How many holes of an outline were filled.
        stated_box: x1 y1 x2 y2 of the box, if the annotation has one beside the outline.
    """

    kind: ShapeKind
    parts: tuple[FloatArray, ...] = ()
    points: Mapping[str, Keypoint] = {}
    holes: int = 0
    stated_box: tuple[float, ...] = ()

    @property
    def box(self) -> FloatArray:
        """Return x1 y1 x2 y2: of a box as annotated, even if its corners are swapped; else the extent."""
        if self.stated_box:
            return np.array(self.stated_box)
        if self.kind == "tag":
            return np.array([0.0, 0.0, 1.0, 1.0])
        if self.kind == "box":
            return self.parts[0][::2].ravel()
        rings = np.concatenate(self.parts)
        return np.concatenate([rings.min(axis=0), rings.max(axis=0)])


TAG: Final = Shape("tag")


class AnnotatedObject(NamedTuple):
    """One object of an image.

    Attributes:
        label: Its class: on one line, without blanks around it.
        shape: Its shape.
        mark: Its name in reports, such as `region 2`.
        spelling: The class as the source spells it, if that differs in blanks.
    """

    label: str
    shape: Shape
    mark: str
    spelling: str = ""


def build_object(spelling: str, shape: Shape, mark: str) -> AnnotatedObject:
    """Build an object from its class as the source spells it: blanks around it and repeated ones go."""
    label = remove_blanks(spelling)
    return AnnotatedObject(label, shape, mark, "" if spelling == label else spelling)


def remove_blanks(name: str) -> str:
    """Return a name on one line, without blanks around it."""
    return " ".join(name.split())


def parse_class_name(value: Any) -> str:
    """Return a class name as it is spelled, with blanks: `build_object` removes them, and they are told.

    Raises:
        ValueError: It is neither text nor an integer, or it is empty.
    """
    name = str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""
    if not name or name.isspace():
        raise ValueError("no class")
    return name


def parse_coordinate(value: Any) -> float:
    """Return a value as a coordinate in pixels.

    Raises:
        ValueError: It is no number, not finite, or outside any image (1e9 pixels or more).
    """
    try:
        found = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        found = math.nan
    if not abs(found) < _MAX_COORDINATE:
        raise ValueError(f"{str(value)[:40]!r} is no number that a coordinate can be")
    return found


def build_box(corners: Iterable[Any]) -> Shape:
    """Build a box from x1, y1, x2, y2."""
    x1, y1, x2, y2 = map(parse_coordinate, corners)
    return Shape("box", (np.array([[x1, y1], [x2, y1], [x2, y2], [x1, y2]]),))


def parse_points(points: Any) -> FloatArray:
    """Return a list of x, y pairs as points (k, 2).

    Raises:
        ValueError: It is no such list.
    """
    if not isinstance(points, list) or not all(isinstance(pair, list) and len(pair) == 2 for pair in points):
        raise ValueError("points that are no pairs of x and y")
    return np.array([[parse_coordinate(x), parse_coordinate(y)] for x, y in points]).reshape(-1, 2)


def parse_ring(points: Any) -> FloatArray:
    """Return the points of a closed ring; a last point that repeats the first is removed.

    Raises:
        ValueError: Fewer than three points remain.
    """
    found = parse_points(points)
    if len(found) > 1 and (found[0] == found[-1]).all():
        found = found[:-1]
    if len(found) < 3:
        raise ValueError(f"an outline of {format_count(len(found), 'point')}")
    return found


def build_outline(*parts: FloatArray, holes: int = 0) -> Shape:
    """Build an outline from its outer rings; holes are filled, since labels cannot have any."""
    if not parts:
        raise ValueError("an outline without points")
    return Shape("outline", parts, holes=holes)


def build_ellipse(center: tuple[float, float], radii: tuple[float, float], *, degrees: float = 0) -> Shape:
    """Build the outline of an ellipse, rotated clockwise as seen (y points down)."""
    if min(radii) <= 0:
        raise ValueError(f"no area: radii of {radii[0]:.6g} and {radii[1]:.6g}")
    angles = np.arange(_ELLIPSE_CORNERS) * (2 * np.pi / _ELLIPSE_CORNERS)
    points = np.array(center) + np.stack([np.cos(angles), np.sin(angles)], axis=1) * radii
    return build_outline(_rotate_points(points, degrees, np.array(center)))


def rotate_box(upright: Shape, degrees: float, about: tuple[float, float]) -> Shape:
    """Rotate a box clockwise as seen (y points down) about a point; at 0 degrees it stays a box."""
    if abs(math.remainder(degrees, 360)) < 1e-6:
        return upright
    return build_rotated_box(_rotate_points(upright.parts[0], degrees, np.array(about)))


def enclose_rotated_box(box: Sequence[float], stated: Any) -> tuple[float, float, float, float] | None:
    """Return the upright box around a box that CVAT states unrotated, with its rotation as an attribute.

    Args:
        box: x1 y1 x2 y2 before the rotation about its middle.
        stated: The rotation in degrees, as a number or a text.

    Returns:
        x1 y1 x2 y2; None if it is not rotated.
    """
    try:
        degrees = float(stated or 0)
    except (TypeError, ValueError):
        return None
    if not math.isfinite(degrees) or degrees % 180 == 0:
        return None
    x1, y1, x2, y2 = box
    corners = np.array([[x1, y1], [x2, y1], [x2, y2], [x1, y2]], np.float64)
    turned = _rotate_points(corners, degrees, np.array([(x1 + x2) / 2, (y1 + y2) / 2]))
    left, top = turned.min(axis=0).tolist()
    right, bottom = turned.max(axis=0).tolist()
    return left, top, right, bottom


def build_rotated_box(corners: FloatArray) -> Shape:
    """Build a rotated box from its four corners, in order around it."""
    if corners.shape != (4, 2):
        raise ValueError(f"{format_count(len(corners), 'corner')}, not four")
    return Shape("rotated", (corners,))


def build_pose(points: Mapping[str, Keypoint], around: Shape | None = None) -> Shape:
    """Build a pose from its keypoints, and from the box of the object if there is one.

    Args:
        points: Keypoints by name.
        around: The box of the object; else the box around the labeled keypoints is used.
    """
    labeled = np.array([[x, y] for x, y, visibility in points.values() if visibility])
    if not len(labeled):
        raise ValueError("none of its points is placed")
    found = around or build_box([*labeled.min(axis=0), *labeled.max(axis=0)])
    return Shape("pose", found.parts, dict(points))


def describe_repeated_point(name: str) -> str:
    """Return why a keypoint is left out that another one of the same object is called like."""
    return f"another point of this object is called {name!r} too: the first one is used"


def _rotate_points(points: FloatArray, degrees: float, about: FloatArray) -> FloatArray:
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    rotated: FloatArray = (points - about) @ np.array([[cos, sin], [-sin, cos]]) + about
    return rotated
