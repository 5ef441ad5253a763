"""Decode an image to one value per pixel: a class number or a color."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

MAX_MASK_PIXELS: Final = 100_000_000
"""A larger mask is not decoded."""
MASK_FORMATS: Final = ("PNG", "BMP", "TIFF", "GIF", "JPEG", "WEBP", "PPM")

MaskPixels = NDArray[np.integer[Any]]

_MANY_GRAYS: Final = 32


def decode_pixels(image: Image.Image) -> tuple[str, MaskPixels]:
    """Return the kind and the value of each pixel: class numbers, or colors as 0xrrggbb.

    An RGB image with only gray pixels holds numbers. The data type is as small as possible: masks may have
    100 million pixels.
    """
    if image.mode == "1":  # its array has 255 for true
        return "number", (np.array(image.convert("L")) > 0).view(np.uint8)
    if image.mode == "P":
        return "number", _resolve_gray_palette(np.array(image), read_palette(image))
    if image.mode in {"L", "I"} or image.mode.startswith("I;16"):
        return "number", np.array(image)
    if image.mode == "F":
        raise ValueError("pixels with decimals, as the probabilities of a model are: save class numbers")
    if image.mode == "PA":
        return "number", np.array(image)[:, :, 0].copy()
    if image.mode in {"LA", "RGBA"}:
        return _clear_transparent(np.array(image))
    return _join_channels(np.array(image.convert("RGB")))


def read_palette(image: Image.Image) -> dict[int, int]:
    """Return the colors of a palette by number, as 0xrrggbb."""
    table = image.getpalette("RGB") if image.mode == "P" else None
    rows = np.array(table or [], np.int64).reshape(-1, 3)
    return {number: int(red << 16 | green << 8 | blue) for number, (red, green, blue) in enumerate(rows)}


def get_brightness(values: MaskPixels, kind: str) -> MaskPixels:
    """Return the brightest channel of each color."""
    if kind == "number":
        return values
    brightest: MaskPixels = np.maximum(values >> 16, np.maximum((values >> 8) & 255, values & 255))
    return brightest.astype(np.uint8)


def _join_channels(pixels: NDArray[np.uint8]) -> tuple[str, MaskPixels]:
    red, green, blue = pixels[:, :, 0], pixels[:, :, 1], pixels[:, :, 2]
    if (red == green).all() and (green == blue).all():
        return "number", red.copy()
    colors = red.astype(np.uint32)
    for channel in (green, blue):
        colors <<= 8
        colors |= channel
    return "color", colors


def _clear_transparent(pixels: NDArray[np.uint8]) -> tuple[str, MaskPixels]:
    """Set transparent pixels to 0: some tools mark the background so, and paint the rest in one color."""
    alpha = pixels[:, :, -1]
    kind, values = ("number", pixels[:, :, 0].copy()) if pixels.shape[2] == 2 else _join_channels(pixels)
    if alpha.any():
        values[alpha == 0] = 0
    return kind, values


def _resolve_gray_palette(numbers: NDArray[np.uint8], palette: dict[int, int]) -> MaskPixels:
    """Return the grays of a palette of many grays, since these are brightness and not class numbers."""
    used = np.flatnonzero(np.bincount(numbers.ravel(), minlength=256)).tolist()
    grays = [palette.get(number, -1) for number in used]
    if len(used) <= _MANY_GRAYS or any(gray % 0x010101 for gray in grays):
        return numbers
    table = np.zeros(256, np.uint8)
    table[used] = [gray & 255 for gray in grays]
    return table[numbers]
