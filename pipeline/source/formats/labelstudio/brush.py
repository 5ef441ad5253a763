"""Brush strokes of Label Studio: run lengths packed into bits.

The form is that of `decode_rle` in label-studio-converter (brush.py) and of the library rle-pack of @thi.ng:
32 bits for the number of values, 5 for the width of a value less one, four times 4 for the widths of run
lengths less one; then runs, each a bit (1: one value repeated, 0: values side by side), 2 bits that choose a
width, a length less one, and the value or values. The values are an image of red, green, blue, alpha.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

_LARGEST: Final = 100_000_000
"""Pixels; a larger mask is a mistake, or an attack on the memory."""


def decode(packed: Any, width: int, height: int) -> NDArray[np.uint8]:
    """Return a mask (height, width): where the alpha is not zero.

    Raises:
        ValueError: The list is cut, no list of bytes, or not one of a mask of this size.
    """
    if not 0 < width * height <= _LARGEST:
        raise ValueError(f"a brush stroke on {width} x {height} pixels")
    try:
        data = np.frombuffer(bytes(packed) if isinstance(packed, list) else b"", np.uint8)
    except (TypeError, ValueError):
        raise ValueError("a brush stroke that is no list of bytes") from None
    take = _taker(np.unpackbits(data))
    total = take(32)
    if total != width * height * 4:
        raise ValueError(f"a brush stroke of {total} values, not four for each of {width} x {height} pixels")
    values = np.zeros(total, np.uint8)
    wide, lengths = take(5) + 1, [take(4) + 1 for _ in range(4)]
    at = 0
    while at < total:
        repeated = take(1)
        end = min(at + 1 + take(lengths[take(2)]), total)
        values[at:end] = take(wide) & 255 if repeated else [take(wide) & 255 for _ in range(at, end)]
        at = end
    return (values.reshape(height, width, 4)[:, :, 3] > 0).astype(np.uint8)


def _taker(bits: NDArray[np.uint8]) -> Callable[[int], int]:
    """Return what reads the next so many bits as a number."""
    text, at = bits.tobytes().translate(bytes.maketrans(b"\0\1", b"01")), 0

    def take(count: int) -> int:
        nonlocal at
        at += count
        if at > len(text):
            raise ValueError("a brush stroke that is cut short")
        return int(text[at - count : at], 2)

    return take
