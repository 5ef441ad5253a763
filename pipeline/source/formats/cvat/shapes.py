"""The shapes of CVAT XML."""

from __future__ import annotations

from itertools import accumulate
from typing import Final
from xml.etree.ElementTree import Element

import numpy as np

from pipeline.source.reading import shapes
from pipeline.source.reading.shapes import TAG, Keypoint, Shape
from pipeline.source.reading.trace_mask import trace

_LARGEST: Final = 100_000_000
"""Pixels of a mask; a larger one is a mistake, or an attack on the memory."""


def draw(item: Element, label: str | None = None) -> tuple[str, Shape]:
    """Draw one element.

    Args:
        item: The element of the shape.
        label: Its class, where the element around it states it.

    Raises:
        ValueError: It is no object, with the reason.
    """
    name = shapes.named(label or item.get("label"))
    if item.tag == "tag":
        return name, TAG
    if item.tag == "box":
        return name, _box(item)
    if item.tag == "polygon":
        return name, shapes.outline(shapes.ring(_points(item)))
    if item.tag == "ellipse":
        return name, _ellipse(item)
    if item.tag == "mask":
        return name, _mask(item)
    if item.tag == "skeleton":
        return name, shapes.pose(
            {str(point.get("label")): _point(point) for point in item.iterfind("points")}
        )
    raise ValueError(f"{item.tag[:20]} is no shape with an area")


def _box(item: Element) -> Shape:
    x1, y1, x2, y2 = (shapes.number(item.get(side)) for side in ("xtl", "ytl", "xbr", "ybr"))
    upright = shapes.box((x1, y1, x2, y2))
    return shapes.turned(upright, _rotation(item), ((x1 + x2) / 2, (y1 + y2) / 2))


def _ellipse(item: Element) -> Shape:
    x, y, across, down = (shapes.number(item.get(value)) for value in ("cx", "cy", "rx", "ry"))
    return shapes.ellipse((x, y), (across, down), degrees=_rotation(item))


def _rotation(item: Element) -> float:
    return shapes.number(item.get("rotation") or 0)


def _points(item: Element) -> list[list[str]]:
    return [pair.split(",") for pair in (item.get("points") or "").split(";") if pair.strip()]


def _point(item: Element) -> Keypoint:
    """Return a point of a skeleton: outside the picture it is not labelled, occluded it is hidden."""
    if item.get("outside") == "1":
        return 0.0, 0.0, 0
    pairs = _points(item)
    if len(pairs) != 1 or len(pairs[0]) != 2:
        raise ValueError("a skeleton with a point that is no pair of x and y")
    return shapes.number(pairs[0][0]), shapes.number(pairs[0][1]), 1 if item.get("occluded") == "1" else 2


def _mask(item: Element) -> Shape:
    """Outline a mask: lengths of runs, outside and inside in turn, row by row in a window."""
    left, top, width, height = (
        int(shapes.number(item.get(side))) for side in ("left", "top", "width", "height")
    )
    try:
        runs = [int(run) for run in (item.get("rle") or "").split(",")]
    except ValueError:
        raise ValueError("a mask whose rle is no list of lengths") from None
    if min(width, height, *runs, _LARGEST - width * height) < 0 or sum(runs) != width * height:
        raise ValueError(f"a mask whose rle does not fill its {width} x {height} pixels")
    mask = np.zeros(width * height, np.uint8)
    ends = list(accumulate(runs))
    for start, end in zip(ends[::2], ends[1::2], strict=False):
        mask[start:end] = 1
    return trace(mask.reshape(height, width), left=left, top=top)
