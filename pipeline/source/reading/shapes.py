"""What annotation tools draw: boxes upright and rotated, outlines, poses, and tags of a whole image.

A value that cannot be right raises ValueError with what was wrong: a finding about that object.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal, NamedTuple

import numpy as np

from pipeline.core.arrays import FloatArray
from pipeline.core.text import format_count

ShapeKind = Literal["box", "rotated", "outline", "pose", "tag"]
Keypoint = tuple[float, float, int]

_LARGEST: Final = 1e9
"""Pixels: no image is larger, and NaN is not less."""
_ROUND: Final = 64
"""Corners of the polygon that stands for an ellipse: it covers 99.8% of it."""


class Shape(NamedTuple):
    """One drawn thing.

    Attributes:
        kind: What it is.
        parts: Rings (k, 2) of x and y: the corners of a box, or of that around a pose, or the outer rings of
            an outline; none for a tag.
        points: Of a pose, by name: x, y, and visibility (0 not labelled, 1 hidden, 2 visible).
        holes: Of an outline, how many were left out.
        around: x1 y1 x2 y2 of the box, where it is stated beside an outline.
    """

    kind: ShapeKind
    parts: tuple[FloatArray, ...] = ()
    points: Mapping[str, Keypoint] = {}
    holes: int = 0
    around: tuple[float, ...] = ()

    @property
    def box(self) -> FloatArray:
        """Return x1 y1 x2 y2, of a box as it was given, its corners in any order; else the extent."""
        if self.around:
            return np.array(self.around)
        if self.kind == "tag":
            return np.array([0.0, 0.0, 1.0, 1.0])
        if self.kind == "box":
            return self.parts[0][::2].ravel()
        rings = np.concatenate(self.parts)
        return np.concatenate([rings.min(axis=0), rings.max(axis=0)])


TAG: Final = Shape("tag")


class AnnotatedObject(NamedTuple):
    """One object of an image: its class, its shape, and what it is called in reports, such as `region 2`."""

    label: str
    shape: Shape
    mark: str


def named(value: Any) -> str:
    """Return a class name, on one line.

    Raises:
        ValueError: There is none.
    """
    stated = isinstance(value, str | int) and not isinstance(value, bool)
    name = " ".join(str(value).split()) if stated else ""
    if not name:
        raise ValueError("no class")
    return name


def number(value: Any) -> float:
    """Return a number that a coordinate can be.

    Raises:
        ValueError: It is none, or not finite, or beyond any image.
    """
    try:
        found = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        found = math.nan
    if not abs(found) < _LARGEST:
        raise ValueError(f"{str(value)[:40]!r} is no number that a coordinate can be")
    return found


def box(corners: Iterable[Any]) -> Shape:
    """Make a box of x1, y1, x2, y2."""
    x1, y1, x2, y2 = map(number, corners)
    return Shape("box", (np.array([[x1, y1], [x2, y1], [x2, y2], [x1, y2]]),))


def pairs(points: Any) -> FloatArray:
    """Return points (k, 2), given as a list of pairs of x and y.

    Raises:
        ValueError: They are none.
    """
    if not isinstance(points, list) or not all(isinstance(pair, list) and len(pair) == 2 for pair in points):
        raise ValueError("points that are no pairs of x and y")
    return np.array([[number(x), number(y)] for x, y in points]).reshape(-1, 2)


def ring(points: Any) -> FloatArray:
    """Return points that go round an area; a last one that repeats the first is left out."""
    found = pairs(points)
    if len(found) > 1 and (found[0] == found[-1]).all():
        found = found[:-1]
    if len(found) < 3:
        raise ValueError(f"an outline of {format_count(len(found), 'point')}")
    return found


def outline(*parts: FloatArray, holes: int = 0) -> Shape:
    """Make an outline of its outer rings; holes are left out, for labels have none."""
    if not parts:
        raise ValueError("an outline without points")
    return Shape("outline", parts, holes=holes)


def ellipse(centre: tuple[float, float], radii: tuple[float, float], *, degrees: float = 0) -> Shape:
    """Make the outline of an ellipse, turned clockwise to the eye."""
    if min(radii) <= 0:
        raise ValueError(f"no area: radii of {radii[0]:.6g} and {radii[1]:.6g}")
    angles = np.arange(_ROUND) * (2 * np.pi / _ROUND)
    points = np.array(centre) + np.stack([np.cos(angles), np.sin(angles)], axis=1) * radii
    return outline(_turn(points, degrees, np.array(centre)))


def turned(upright: Shape, degrees: float, about: tuple[float, float]) -> Shape:
    """Turn a box clockwise to the eye (y grows downwards) about a point; what is not turned stays a box."""
    if abs(math.remainder(degrees, 360)) < 1e-6:
        return upright
    return corners(_turn(upright.parts[0], degrees, np.array(about)))


def corners(four: FloatArray) -> Shape:
    """Make a rotated box of its four corners, in their order round it."""
    if four.shape != (4, 2):
        raise ValueError(f"{format_count(len(four), 'corner')}, not four")
    return Shape("rotated", (four,))


def pose(points: Mapping[str, Keypoint], around: Shape | None = None) -> Shape:
    """Make a pose of its points, and of the box around the object where that was drawn too."""
    seen = np.array([[x, y] for x, y, visibility in points.values() if visibility])
    if not len(seen):
        raise ValueError("none of its points is placed")
    found = around or box([*seen.min(axis=0), *seen.max(axis=0)])
    return Shape("pose", found.parts, dict(points))


def _turn(points: FloatArray, degrees: float, about: FloatArray) -> FloatArray:
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    turn: FloatArray = (points - about) @ np.array([[cos, sin], [-sin, cos]]) + about
    return turn
