"""Find out whether the boxes of a VOC dataset count pixels from 1, as VOC does, or from 0."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

from pipeline.core.arrays import FloatArray
from pipeline.core.text import format_count
from pipeline.source.formats.voc.objects import VocFile

_MIN_AT_ONE: Final = 10
_MANY_MORE: Final = 5
"""So many times more boxes begin at 1 than at 0: then those at 0 are mistakes."""
_NONE: Final = 1e9
_UNCLEAR: Final = (
    "no object clearly touches the left or top edge: pixels are taken to be counted from 1, as VOC does "
    "(if they are counted from 0, objects are moved by one pixel at the left and top)"
)


class PixelOrigin(NamedTuple):
    """How the pixels of a dataset are counted.

    Attributes:
        first: The number of the first pixel, 0 or 1.
        remarks: Why it was chosen, unless the data show that it is 1.
    """

    first: int
    remarks: tuple[str, ...] = ()


def find_pixel_origin(files: Sequence[VocFile]) -> PixelOrigin:
    """Decide for a whole dataset by the objects that touch the left or the top edge of their image.

    They begin at 0 or at 1, and are more than those that begin one pixel later. A box that begins at 0 shows
    that pixels are counted from 0, unless many more begin at 1.
    """
    minima = _collect_minima(files)
    lowest = minima.min(axis=1, initial=_NONE)
    at_zero = int(((minima >= 0) & (minima < 1)).any(axis=1).sum())
    at_one = int((lowest == 1).sum())
    is_edge = at_one > int((lowest == 2).sum())
    if at_zero and is_edge and at_one >= max(_MIN_AT_ONE, _MANY_MORE * at_zero):
        return PixelOrigin(1, (_describe_mistakes(at_zero, at_one, len(minima)),))
    if at_zero:
        return PixelOrigin(0, (_describe_zero(at_zero, len(minima)),))
    return PixelOrigin(1, () if is_edge or not len(minima) else (_UNCLEAR,))


def _describe_mistakes(at_zero: int, at_one: int, count: int) -> str:
    return (
        f"{at_one} of {format_count(count, 'object')} begin at pixel 1 and {at_zero} at 0: pixels are taken "
        "to be counted from 1, as VOC does, and 0 as a mistake for the edge"
    )


def _describe_zero(at_zero: int, count: int) -> str:
    return (
        f"{at_zero} of {format_count(count, 'object')} begin at pixel 0: pixels are counted from 0, not from "
        "1 as in VOC, and no object is moved"
    )


def _collect_minima(files: Sequence[VocFile]) -> FloatArray:
    """Return the smallest x and y of each object."""
    found: list[tuple[float, float]] = []
    for item in (item for file in files for item in file.objects):
        if item.corners is not None:
            found.append((item.corners[0], item.corners[1]))
        elif item.rings:
            left, top = np.concatenate(item.rings).min(axis=0).tolist()
            found.append((left, top))
    return np.array(found, np.float64).reshape(-1, 2)
