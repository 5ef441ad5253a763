"""Types for checked objects, and the check and repair of one upright box."""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import numpy as np

from pipeline.core.arrays import FloatArray, IntArray
from pipeline.core.findings import AnnotationNote, FindingKind, UnusableError

ROUNDING_TOLERANCE: Final = 0.5
"""Pixels. A box that leaves the image by less was rounded by its format; a side below this is no box."""


ObjectRepair = tuple[FindingKind, str]
"""What was repaired or noticed in an object that is used: the kind of finding, and the reason in words."""


class UnusableObjectError(UnusableError):
    """Say why an object cannot be used."""


class CheckedObjects(NamedTuple):
    """The usable objects of an image, and the findings.

    Attributes:
        classes: (m,) class indices.
        boxes: (m, 4) x1 y1 x2 y2 in pixels, inside the image, each side half a pixel or more.
        notes: One note per finding.
        outlines: m outlines (k, 2) in pixels (segment), or four corners each (obb); empty for other tasks.
        keypoints: m arrays (points, 3) in pixels (pose); empty for other tasks.
    """

    classes: IntArray
    boxes: FloatArray
    notes: tuple[AnnotationNote, ...]
    outlines: tuple[FloatArray, ...] = ()
    keypoints: tuple[FloatArray, ...] = ()


def repair_box(box: FloatArray, size: tuple[int, int]) -> tuple[FloatArray, list[ObjectRepair]]:
    """Put the corners of a box in order and clip it to the image.

    Args:
        box: (4,) x1 y1 x2 y2 in pixels.
        size: Width and height of the image in pixels.

    Raises:
        UnusableObjectError: A coordinate is not a number, or the box has no area or is outside the image.
    """
    x1, y1, x2, y2 = given = box.tolist()  # plain numbers: four are too few for numpy to be faster
    if not all(map(math.isfinite, given)):
        raise UnusableObjectError("no-number", f"coordinates that are no numbers: {format_coordinates(box)}")
    ordered = [min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2)]
    width, height = abs(x2 - x1), abs(y2 - y1)
    if min(width, height) < ROUNDING_TOLERANCE:
        raise UnusableObjectError(
            "no-area", f"no area: {width:.6g} x {height:.6g} pixels at {format_coordinates(box)}"
        )
    clipped = [min(max(value, 0.0), limit) for value, limit in zip(ordered, size * 2, strict=True)]
    if min(clipped[2] - clipped[0], clipped[3] - clipped[1]) < ROUNDING_TOLERANCE:
        raise UnusableObjectError(
            "outside", f"outside the image of {size[0]} x {size[1]} pixels: {format_coordinates(box)}"
        )
    repairs: list[ObjectRepair] = []
    if ordered != given:
        repairs.append(("inverted", f"corners in the wrong order: {format_coordinates(box)}"))
    if max(abs(a - b) for a, b in zip(ordered, clipped, strict=True)) > ROUNDING_TOLERANCE:
        shown = format_coordinates(np.array(ordered))
        repairs.append(("clipped", f"clipped to the image of {size[0]} x {size[1]} pixels: {shown}"))
    return np.array(clipped, np.float64), repairs


def format_coordinates(values: FloatArray) -> str:
    """Format coordinates for a report; only the first twelve are shown."""
    flat = values.ravel()
    more = " ..." if len(flat) > 12 else ""
    return " ".join(f"{value:.6g}" for value in flat[:12]) + more
