"""The shape of an object in COCO JSON: its box, the parts of its outline, its key points."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.core.arrays import FloatArray
from pipeline.core.findings import AnnotationNote
from pipeline.core.text import format_count
from pipeline.source.reading import trace_mask

_MOST_PIXELS: Final = 200_000_000
"""Of a mask; more would be a picture that nobody trains on, or an attack on memory."""
_MOST: Final = 1e9
_NO_POINTS: Final = np.zeros((0, 3))


class CocoOutline(NamedTuple):
    """The outer rings (k, 2) of an object, and what was found about them."""

    parts: tuple[FloatArray, ...] = ()
    notes: tuple[AnnotationNote, ...] = ()


def box(row: Mapping[str, Any]) -> list[float] | None:
    """Return x1 y1 x2 y2 of a bbox as it stands, a negative extent included; None where it is none."""
    stated = row.get("bbox")
    if not (isinstance(stated, list) and len(stated) == 4 and all(map(_plausible, stated))):
        return None
    x, y, width, height = map(float, stated)
    return [x, y, x + width, y + height]


def outline(row: Mapping[str, Any], size: tuple[int, int] | None = None) -> CocoOutline:
    """Read polygons, or a mask as run lengths, compressed or not.

    Args:
        row: An annotation.
        size: Width and height of its image, where stated: a mask of another size is none of it.
    """
    stated = row.get("segmentation")
    if isinstance(stated, dict):
        return _of_mask(stated, size)
    if not isinstance(stated, list) or not stated:
        return CocoOutline()
    rings = [stated] if all(map(_plausible, stated)) else stated
    parts = tuple(part for part in map(_ring, rings) if part is not None)
    bad = len(rings) - len(parts)
    note = AnnotationNote(
        False, f"{bad} of {len(rings)} parts of its outline are no list of points: left out"
    )
    return CocoOutline(parts, (note,) if bad else ())


def keypoints(row: Mapping[str, Any]) -> FloatArray:
    """Return (points, 3): x, y in pixels and visibility; of no length where there are none."""
    stated = row.get("keypoints")
    if not isinstance(stated, list) or len(stated) % 3 or not all(map(_plausible, stated)):
        return _NO_POINTS
    return np.array(stated, np.float64).reshape(-1, 3)


def _of_mask(stated: Mapping[str, Any], size: tuple[int, int] | None) -> CocoOutline:
    try:
        mask = _mask(stated, size)
    except Exception as error:  # a decoder of strings raises what it likes: ValueError, IndexError, ...
        return CocoOutline((), (AnnotationNote(False, f"its mask cannot be decoded ({error}): left out"),))
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return CocoOutline((), (AnnotationNote(False, "its mask is empty: left out"),))
    top, left = int(rows[0]), int(columns[0])
    cut = mask[top : rows[-1] + 1, left : columns[-1] + 1]
    traced = trace_mask.trace(cut.astype(np.uint8), left=left, top=top)
    filled = format_count(traced.holes, "hole in its mask is filled", "holes in its mask are filled")
    holes = AnnotationNote(False, filled, "hole")
    return CocoOutline(traced.parts, (holes,) if traced.holes else ())


def _mask(stated: Mapping[str, Any], size: tuple[int, int] | None) -> NDArray[np.bool_]:
    """Decode run lengths, which go down the columns.

    Raises:
        ValueError: They do not fit the size of the mask, or that does not fit the image's.
    """
    from supervision.detection.utils.converters import rle_to_mask  # a second and a half, and seldom needed

    height, width = stated["size"]
    if not (type(height) is type(width) is int and 0 < height * width <= _MOST_PIXELS and height > 0):
        raise ValueError(f"a size of {width} x {height} pixels")
    if size and (width, height) != size:
        raise ValueError(f"a size of {width} x {height} pixels, but the image has {size[0]} x {size[1]}")
    counts = stated["counts"]
    if isinstance(counts, list) and not all(type(run) is int and 0 <= run <= _MOST_PIXELS for run in counts):
        raise ValueError("run lengths that are no numbers of pixels")
    mask: NDArray[np.bool_] = rle_to_mask(counts, (width, height))
    return mask


def _ring(stated: object) -> FloatArray | None:
    if not isinstance(stated, list) or len(stated) % 2 or not all(map(_plausible, stated)):
        return None
    return np.array(stated, np.float64).reshape(-1, 2) if stated else None


def _plausible(value: object) -> bool:
    return isinstance(value, (int, float)) and abs(value) < _MOST  # NaN is not less
