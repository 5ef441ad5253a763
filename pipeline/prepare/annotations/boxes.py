"""The objects of an image as an annotation tool left them, and what is mended about their boxes."""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import numpy as np

from pipeline.core.arrays import FloatArray, IntArray
from pipeline.core.findings import AnnotationNote, FindingKind

ROUNDING: Final = 0.5
"""Pixels: what lies outside by less is how a format rounds, no mistake; and a side below this is no box."""


ObjectRepair = tuple[FindingKind, str]
"""What was mended, or is worth a look, about an object that is used: for machines, and in words."""


class UnusableObjectError(ValueError):
    """Say why an object cannot be used.

    Args:
        kind: For machines.
        reason: In words.
    """

    def __init__(self, kind: FindingKind, reason: str) -> None:
        super().__init__(reason)
        self.kind: FindingKind = kind


class CheckedObjects(NamedTuple):
    """The objects that can be used, and what was found.

    Attributes:
        classes: (m,) class indices.
        boxes: (m, 4) x1 y1 x2 y2 in pixels, within the image, each side half a pixel or more.
        notes: A finding each.
        outlines: m outlines (k, 2) in pixels (segment), or four corners each (obb); none for other tasks.
        keypoints: m arrays (points, 3) in pixels (pose); none for other tasks.
    """

    classes: IntArray
    boxes: FloatArray
    notes: tuple[AnnotationNote, ...]
    outlines: tuple[FloatArray, ...] = ()
    keypoints: tuple[FloatArray, ...] = ()


def mend(box: FloatArray, size: tuple[int, int]) -> tuple[FloatArray, list[ObjectRepair]]:
    """Put the corners of a box in order and clip it to the image.

    Args:
        box: (4,) x1 y1 x2 y2 in pixels.
        size: Width and height of the image in pixels.

    Raises:
        Unfit: It has coordinates that are no numbers, no area, or lies outside.
    """
    x1, y1, x2, y2 = given = box.tolist()  # plain numbers: four are too few for numpy to be faster
    if not all(map(math.isfinite, given)):
        raise UnusableObjectError("no-number", f"coordinates that are no numbers: {text(box)}")
    upright = [min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2)]
    width, height = abs(x2 - x1), abs(y2 - y1)
    if min(width, height) < ROUNDING:
        raise UnusableObjectError("no-area", f"no area: {width:.6g} x {height:.6g} pixels at {text(box)}")
    inside = [min(max(value, 0.0), limit) for value, limit in zip(upright, size * 2, strict=True)]
    if min(inside[2] - inside[0], inside[3] - inside[1]) < ROUNDING:
        raise UnusableObjectError(
            "outside", f"outside the image of {size[0]} x {size[1]} pixels: {text(box)}"
        )
    found: list[ObjectRepair] = []
    if upright != given:
        found.append(("inverted", f"corners in the wrong order: {text(box)}"))
    if max(abs(value - kept) for value, kept in zip(upright, inside, strict=True)) > ROUNDING:
        shown = text(np.array(upright))
        found.append(("clipped", f"clipped to the image of {size[0]} x {size[1]} pixels: {shown}"))
    return np.array(inside, np.float64), found


def text(values: FloatArray) -> str:
    """Write coordinates for a report, the first dozen of them."""
    flat = values.ravel()
    more = " ..." if len(flat) > 12 else ""
    return " ".join(f"{value:.6g}" for value in flat[:12]) + more
