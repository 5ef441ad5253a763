"""Decide over all gray masks of a source: do they hold class numbers, or black and white with soft edges?

The pixels of a class lie in areas of one value. On a soft edge, neighbors differ.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any, Final, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.core.errors import UserError

WHITE: Final = 255
_BINS: Final = 16
_WHITE_BIN: Final = 15
_NUMBERS_SHARE: Final = 0.5
"""At least this share of the gray pixels lies in areas of one value: they are class numbers."""
_SOFT_SHARE: Final = 0.25
"""At most this share does: they are soft edges."""
_PEAK_SHARE: Final = 0.1
_MIN_PEAK: Final = 4
_MAX_ABOVE_PEAK: Final = 0.05
"""Pixels lighter than a soft object, by resampling, per pixel of it."""
_MIN_EDGE_BINS: Final = 0.5
"""Share of the bins below a soft peak that its edges reach."""
_FEW_NUMBERS: Final = 8
_ADVICE: Final = "save masks as PNG, with a class number or one color per class, and without soft edges"

Counts = NDArray[np.int64]


class GrayLevels(NamedTuple):
    """How often gray values occur in a mask, in 16 bins of 16 values each.

    Attributes:
        counts: Pixels by bin.
        flat: Pixels in areas of one value, by bin.
        low: Pixels of the values 1 to 15, and those of them in areas of one value.
        values: Which values occur, as the bits of a number.
        lossy: The mask is a JPEG.
    """

    counts: tuple[int, ...]
    flat: tuple[int, ...]
    low: tuple[int, int]
    values: int
    lossy: bool


def find_flat_blocks(values: NDArray[Any]) -> NDArray[np.bool_]:
    """Mark pixels equal to their upper, left and upper left neighbor; without the first row and column."""
    flat: NDArray[np.bool_] = values[1:, 1:] == values[:-1, :-1]
    flat &= values[1:, 1:] == values[:-1, 1:]
    flat &= values[1:, 1:] == values[1:, :-1]
    return flat


def measure_gray_levels(values: NDArray[Any], *, lossy: bool = False) -> GrayLevels:
    """Count the gray values of a mask."""
    counts = count_values(values)
    flat = count_values(values[1:, 1:], find_flat_blocks(values).view(np.uint8))
    present = int.from_bytes(np.packbits(counts > 0, bitorder="little").tobytes(), "little")
    low = int(counts[1:_BINS].sum()), int(flat[1:_BINS].sum())
    return GrayLevels(_sum_bins(counts), _sum_bins(flat), low, present, lossy)


def choose_threshold(masks: Collection[GrayLevels]) -> int | None:
    """Choose how gray masks are read: the value above which a pixel is object; None: values are numbers.

    Raises:
        UserError: Neither is clear, or the masks contradict one another.
    """
    if not masks:
        return None
    counts, flat = (np.sum([getattr(mask, name) for mask in masks], axis=0) for name in ("counts", "flat"))
    if any(mask.lossy for mask in masks):
        threshold = _choose_lossy_threshold(counts, flat, low=sum(mask.low[0] for mask in masks))
    elif (peak := _find_soft_peak(counts, flat, masks)) is not None:
        threshold = (2 * peak + 1) * _BINS // 4
    elif _holds_numbers(counts, flat, masks):
        return None
    else:
        threshold = WHITE // 2
    if any(map(_holds_low_numbers, masks)):
        raise UserError(
            "some masks hold class numbers, others are black and white with soft edges: " + _ADVICE
        )
    return threshold


def _holds_numbers(counts: Counts, flat: Counts, masks: Iterable[GrayLevels]) -> bool:
    """Decide between numbers and soft edges for masks that were saved without loss."""
    middle, flat_middle = int(counts[1:_WHITE_BIN].sum()), int(flat[1:_WHITE_BIN].sum())
    if flat_middle >= _NUMBERS_SHARE * middle:
        return True
    values = _list_middle_values(masks)
    if flat_middle <= _SOFT_SHARE * middle and counts[_WHITE_BIN] and _spread_evenly(values):
        return False
    if len(values) <= _FEW_NUMBERS:
        return True
    raise UserError(
        f"the masks hold {len(values)} gray values that are neither class numbers nor black and white with "
        f"soft edges: {_ADVICE}"
    )


def _find_soft_peak(counts: Counts, flat: Counts, masks: Iterable[GrayLevels]) -> int | None:
    """Find the bin of the only light value, such as 200, of objects with soft edges; None if there is none.

    All other values but black are edges, and too many for classes.
    """
    peak = 1 + int(np.argmax(flat[1:]))
    if not _MIN_PEAK <= peak < _WHITE_BIN - 1:
        return None
    edges, flat_edges = counts[1:peak].sum(), flat[1:peak].sum()
    is_last = counts[peak + 1 :].sum() <= _MAX_ABOVE_PEAK * counts[peak]
    is_soft = 0 < edges < counts[peak] and flat_edges <= _SOFT_SHARE * edges
    are_many = (
        len(_list_middle_values(masks)) > 2 * _FEW_NUMBERS and np.mean(counts[1:peak] > 0) >= _MIN_EDGE_BINS
    )
    return peak if is_last and is_soft and are_many else None


def _choose_lossy_threshold(counts: Counts, flat: Counts, *, low: int) -> int | None:
    """Choose the threshold of JPEG masks, whose values are blurred: two peaks, dark and light."""
    above = flat[1:].sum()
    bins = [number for number in range(1, _BINS) if above and flat[number] >= _PEAK_SHARE * above]
    peaks = [number for number in bins if number - 1 not in bins]
    if len(peaks) > 1 or (bins and bins[-1] - bins[0] > 3) or (peaks and peaks[0] < 4):
        raise UserError(
            "JPEG masks of more than black and white: the class numbers are lost in them; " + _ADVICE
        )
    if not counts[1:].any():
        if low:
            raise UserError("JPEG masks without light pixels: class numbers are lost in them; " + _ADVICE)
        return None
    return WHITE // 2 if not peaks or peaks[0] >= 12 else peaks[0] * _BINS // 2


def _holds_low_numbers(mask: GrayLevels) -> bool:
    """Check for a mask of numbers 1 to 15: dark, but in areas of one value."""
    low, flat = mask.low
    return not any(mask.counts[1:]) and low >= _BINS and flat >= _NUMBERS_SHARE * low


def _list_middle_values(masks: Iterable[GrayLevels]) -> list[int]:
    present = 0
    for mask in masks:
        present |= mask.values
    return [value for value in range(_BINS, WHITE - _BINS) if present >> value & 1]


def _spread_evenly(values: list[int]) -> bool:
    """Check that values lie in each third between black and white, or around the middle if they are few."""
    if len(values) <= 2:
        return all(64 <= value < 192 for value in values)
    return len({min(2, (value - _BINS) * 3 // (WHITE - 2 * _BINS)) for value in values}) == 3


def count_values(values: NDArray[Any], where: NDArray[np.uint8] | None = None) -> Counts:
    """Count each value; numpy's bincount needs eight bytes per pixel."""
    if not values.size:
        return np.zeros(256, np.int64)
    counts = cv2.calcHist([values], [0], where, [256], [0, 256])
    return counts.ravel().astype(np.int64)


def _sum_bins(counts: NDArray[Any]) -> tuple[int, ...]:
    return tuple(counts.reshape(_BINS, -1).sum(axis=1).tolist())
