"""Parse the shapes of CVAT XML."""

from __future__ import annotations

from itertools import accumulate
from typing import Final
from xml.etree.ElementTree import Element

import numpy as np

from pipeline.source.reading.shapes import (
    TAG,
    Keypoint,
    Shape,
    build_box,
    build_ellipse,
    build_outline,
    build_pose,
    parse_class_name,
    parse_coordinate,
    parse_ring,
    rotate_box,
)
from pipeline.source.reading.trace_mask import trace_mask_outline

_MAX_MASK_PIXELS: Final = 100_000_000
"""A larger mask is a mistake, or an attack on memory."""


def parse_cvat_shape(item: Element, label: str | None = None) -> tuple[str, Shape]:
    """Return the class and the shape of one element.

    Args:
        item: The element.
        label: The class, if the element around it states it, as a track does.

    Raises:
        ValueError: The element is not a valid object; the message says why.
    """
    name = parse_class_name(label or item.get("label"))
    if item.tag == "tag":
        return name, TAG
    if item.tag == "box":
        return name, _parse_box(item)
    if item.tag == "polygon":
        return name, build_outline(parse_ring(_split_points(item)))
    if item.tag == "ellipse":
        return name, _parse_ellipse(item)
    if item.tag == "mask":
        return name, _parse_mask(item)
    if item.tag == "skeleton":
        return name, _parse_skeleton(item)
    raise ValueError(f"{item.tag[:20]} is no shape with an area")


def _parse_box(item: Element) -> Shape:
    x1, y1, x2, y2 = (parse_coordinate(item.get(side)) for side in ("xtl", "ytl", "xbr", "ybr"))
    upright = build_box((x1, y1, x2, y2))
    return rotate_box(upright, _parse_rotation(item), ((x1 + x2) / 2, (y1 + y2) / 2))


def _parse_ellipse(item: Element) -> Shape:
    x, y, across, down = (parse_coordinate(item.get(value)) for value in ("cx", "cy", "rx", "ry"))
    return build_ellipse((x, y), (across, down), degrees=_parse_rotation(item))


def _parse_rotation(item: Element) -> float:
    return parse_coordinate(item.get("rotation") or 0)


def _split_points(item: Element) -> list[list[str]]:
    return [pair.split(",") for pair in (item.get("points") or "").split(";") if pair.strip()]


def _parse_skeleton(item: Element) -> Shape:
    points: dict[str, Keypoint] = {}
    for point in item.iterfind("points"):
        name = str(point.get("label"))
        if name in points:
            raise ValueError(f"a skeleton with two points called {name!r}")
        points[name] = _parse_keypoint(point)
    return build_pose(points)


def _parse_keypoint(item: Element) -> Keypoint:
    """Return x, y and visibility of a skeleton point: outside is 0 (unlabeled), occluded is 1 (hidden)."""
    if item.get("outside") == "1":
        return 0.0, 0.0, 0
    pairs = _split_points(item)
    if len(pairs) != 1 or len(pairs[0]) != 2:
        raise ValueError("a skeleton with a point that is no pair of x and y")
    return (
        parse_coordinate(pairs[0][0]),
        parse_coordinate(pairs[0][1]),
        1 if item.get("occluded") == "1" else 2,
    )


def _parse_mask(item: Element) -> Shape:
    """Outline a mask: its RLE holds the lengths of background and object runs in turn, row by row."""
    left, top, width, height = (
        int(parse_coordinate(item.get(side))) for side in ("left", "top", "width", "height")
    )
    try:
        runs = [int(run) for run in (item.get("rle") or "").split(",")]
    except ValueError:
        raise ValueError("a mask whose rle is no list of lengths") from None
    if min(width, height, *runs, _MAX_MASK_PIXELS - width * height) < 0 or sum(runs) != width * height:
        raise ValueError(f"a mask whose rle does not fill its {width} x {height} pixels")
    mask = np.zeros(width * height, np.uint8)
    ends = list(accumulate(runs))
    for start, end in zip(ends[::2], ends[1::2], strict=False):
        mask[start:end] = 1
    return trace_mask_outline(mask.reshape(height, width), left=left, top=top)
