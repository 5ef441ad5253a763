"""Parse the shapes of COCO JSON: bbox, segmentation (polygons or a mask), keypoints."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple, TypeGuard

import numpy as np
from numpy.typing import NDArray

from pipeline.core.arrays import FloatArray
from pipeline.core.findings import AnnotationNote
from pipeline.core.text import format_count
from pipeline.source.reading.trace_mask import trace_mask_outline

_MAX_MASK_PIXELS: Final = 200_000_000
"""A larger mask is a mistake, or an attack on memory."""
_MAX_COORDINATE: Final = 1e9
_NO_KEYPOINTS: Final = np.zeros((0, 3))


class CocoOutline(NamedTuple):
    """The outer rings (k, 2) of an object in pixels, and notes about invalid parts."""

    parts: tuple[FloatArray, ...] = ()
    notes: tuple[AnnotationNote, ...] = ()


def parse_bbox(row: Mapping[str, Any]) -> list[float] | None:
    """Return x1 y1 x2 y2 of a bbox, unchanged if width or height are negative; None if it is invalid."""
    stated = row.get("bbox")
    if not (isinstance(stated, list) and len(stated) == 4 and all(map(is_coordinate, stated))):
        return None
    x, y, width, height = map(float, stated)
    return [x, y, x + width, y + height]


def parse_segmentation(row: Mapping[str, Any], size: tuple[int, int] | None = None) -> CocoOutline:
    """Parse polygons, or a mask in run-length encoding (RLE), compressed or not.

    Args:
        row: An annotation.
        size: Width and height of the image, if stated: a mask of another size is invalid.
    """
    stated = row.get("segmentation")
    if isinstance(stated, dict):
        return _outline_mask(stated, size)
    if not isinstance(stated, list) or not stated:
        return CocoOutline()
    rings = [stated] if all(map(is_coordinate, stated)) else stated
    parts = tuple(part for part in map(_parse_ring, rings) if part is not None)
    invalid = len(rings) - len(parts)
    reason = f"{invalid} of {len(rings)} parts of its outline are no list of points: left out"
    return CocoOutline(parts, (AnnotationNote(False, reason),) if invalid else ())


def parse_keypoints(row: Mapping[str, Any]) -> tuple[FloatArray, tuple[AnnotationNote, ...]]:
    """Return keypoints (points, 3): x, y in pixels and visibility; (0, 3) and a note if they are invalid."""
    stated = row.get("keypoints")
    if not stated:
        return _NO_KEYPOINTS, ()
    if not isinstance(stated, list) or len(stated) % 3 or not all(map(is_coordinate, stated)):
        reason = f"its keypoints are no x, y and visibility of each: left out: {repr(stated)[:40]}"
        return _NO_KEYPOINTS, (AnnotationNote(False, reason, "no-keypoints"),)
    return np.array(stated, np.float64).reshape(-1, 3), ()


def _outline_mask(stated: Mapping[str, Any], size: tuple[int, int] | None) -> CocoOutline:
    try:
        mask = _decode_mask(stated, size)
    except Exception as error:  # the decoder raises any type: ValueError, IndexError, ...
        return CocoOutline((), (AnnotationNote(False, f"its mask cannot be decoded ({error}): left out"),))
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return CocoOutline((), (AnnotationNote(False, "its mask is empty: left out"),))
    top, left = int(rows[0]), int(columns[0])
    cut = mask[top : rows[-1] + 1, left : columns[-1] + 1]
    traced = trace_mask_outline(cut.astype(np.uint8), left=left, top=top)
    filled = format_count(traced.holes, "hole in its mask is filled", "holes in its mask are filled")
    holes = AnnotationNote(False, filled, "hole")
    return CocoOutline(traced.parts, (holes,) if traced.holes else ())


def _decode_mask(stated: Mapping[str, Any], size: tuple[int, int] | None) -> NDArray[np.bool_]:
    """Decode RLE, which runs down the columns.

    Raises:
        ValueError: The runs do not fit the mask size, or the mask size does not fit the image.
    """
    from supervision.detection.utils.converters import rle_to_mask  # takes 1.5 s, and is rarely needed

    height, width = stated["size"]
    if not (type(height) is type(width) is int and 0 < height * width <= _MAX_MASK_PIXELS and height > 0):
        raise ValueError(f"a size of {width} x {height} pixels")
    if size and (width, height) != size:
        raise ValueError(f"a size of {width} x {height} pixels, but the image has {size[0]} x {size[1]}")
    counts = stated["counts"]
    if isinstance(counts, list) and not all(
        type(run) is int and 0 <= run <= _MAX_MASK_PIXELS for run in counts
    ):
        raise ValueError("run lengths that are no numbers of pixels")
    mask: NDArray[np.bool_] = rle_to_mask(counts, (width, height))
    return mask


def _parse_ring(stated: object) -> FloatArray | None:
    if not isinstance(stated, list) or len(stated) % 2 or not all(map(is_coordinate, stated)):
        return None
    return np.array(stated, np.float64).reshape(-1, 2) if stated else None


def is_coordinate(value: object) -> TypeGuard[float]:
    """Check for a finite number that can be a coordinate in pixels."""
    return isinstance(value, (int, float)) and abs(value) < _MAX_COORDINATE  # NaN is not less
