"""Decode the masks of Label Studio: brush strokes and bitmasks.

A bitmask is a PNG as a data URL: opaque pixels are the object.

A brush stroke is run-length encoding (RLE) packed into bits, as in `decode_rle` in label-studio-converter
(brush.py) and in @thi.ng/rle-pack. The header is 32 bits for the number of values, 5 bits for the bits per
value minus one, and four times 4 bits for the bits per run length minus one. Each run has one bit (1: one
repeated value, 0: different values), 2 bits that select one of the four sizes, the length minus one, and the
value or values. The values are RGBA pixels.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_MAX_MASK_PIXELS: Final = 100_000_000
"""A larger mask is a mistake, or an attack on memory."""


def decode_brush(packed: Any, width: int, height: int) -> NDArray[np.uint8]:
    """Return a mask (height, width): 1 where alpha is not zero, else 0.

    Raises:
        ValueError: The list is truncated, does not hold bytes, or is not a mask of this size.
    """
    if not 0 < width * height <= _MAX_MASK_PIXELS:
        raise ValueError(f"a brush stroke on {width} x {height} pixels")
    try:
        data = np.frombuffer(bytes(packed) if isinstance(packed, list) else b"", np.uint8)
    except (TypeError, ValueError):
        raise ValueError("a brush stroke that is no list of bytes") from None
    read_bits = _build_bit_reader(np.unpackbits(data))
    total = read_bits(32)
    if total != width * height * 4:
        raise ValueError(f"a brush stroke of {total} values, not four for each of {width} x {height} pixels")
    values = np.zeros(total, np.uint8)
    value_bits, length_bits = read_bits(5) + 1, [read_bits(4) + 1 for _ in range(4)]
    start = 0
    while start < total:
        is_repeated = read_bits(1)
        end = min(start + 1 + read_bits(length_bits[read_bits(2)]), total)
        values[start:end] = (
            read_bits(value_bits) & 255
            if is_repeated
            else [read_bits(value_bits) & 255 for _ in range(start, end)]
        )
        start = end
    return (values.reshape(height, width, 4)[:, :, 3] > 0).astype(np.uint8)


def decode_bitmask(url: Any, width: int, height: int) -> NDArray[np.uint8]:
    """Return a mask (height, width): 1 where the PNG in a data URL is not transparent, else 0.

    Raises:
        ValueError: The URL holds no PNG, or one without transparency or of another size.
    """
    start, _, data = url.partition(";base64,") if isinstance(url, str) else ("", "", "")
    if start != "data:image/png":
        raise ValueError("a bitmask that is no PNG in a data URL")
    try:
        with Image.open(io.BytesIO(base64.b64decode(data, validate=True)), formats=("PNG",)) as image:
            if image.size != (width, height) or width * height > _MAX_MASK_PIXELS:
                raise ValueError(f"{image.width} x {image.height} pixels for {width} x {height}")
            if not image.has_transparency_data:
                raise ValueError("nothing is transparent")
            alpha = np.array(image.convert("RGBA").getchannel("A"))
    except Exception as error:  # decoders raise any type: OSError, SyntaxError, struct.error, ...
        reason = "unknown format" if isinstance(error, OSError) else str(error)[:80]
        raise ValueError(f"a bitmask that cannot be read ({reason})") from None
    return (alpha > 0).astype(np.uint8)


def _build_bit_reader(bits: NDArray[np.uint8]) -> Callable[[int], int]:
    """Return a function that reads the next bits, as many as it is given, as a number."""
    text, position = bits.tobytes().translate(bytes.maketrans(b"\0\1", b"01")), 0

    def read_bits(count: int) -> int:
        nonlocal position
        position += count
        if position > len(text):
            raise ValueError("a brush stroke that is cut short")
        return int(text[position - count : position], 2)

    return read_bits
