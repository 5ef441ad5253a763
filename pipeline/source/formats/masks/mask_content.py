"""Tell masks from photos by their pixels: a mask has few values, flat areas, or only black and white."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal, NamedTuple

import numpy as np
from PIL import Image

from pipeline.source.formats.masks.gray_levels import find_flat_blocks
from pipeline.source.formats.masks.pixels import MASK_FORMATS, MAX_MASK_PIXELS, MaskPixels, decode_pixels

_MASK_SUFFIXES: Final = frozenset({".png", ".bmp", ".tif", ".tiff", ".gif", ".jpg", ".jpeg", ".webp"}) | {
    ".jfif",
    ".pgm",
    ".ppm",
}
_FEW_VALUES: Final = 32
_MAX_VALUES: Final = 256
_STEP: Final = 8
_MAX_MIDDLE_SHARE: Final = 0.25
"""Share of pixels that are neither dark nor light, in a mask with soft edges."""
_MIN_FLAT_SHARE: Final = 0.5
"""Share of pixels in areas of one value, in a mask of many classes."""


class ImageContent(NamedTuple):
    """What an image looks like.

    Attributes:
        kind: `mask`, `photo`, or empty: of one value, or not readable.
        size: Width and height in pixels; None if it cannot be read.
    """

    kind: Literal["mask", "photo", ""] = ""
    size: tuple[int, int] | None = None


def classify_content(path: Path) -> ImageContent:
    """Look at the pixels of an image."""
    if not path.is_file():  # opening a pipe would block
        return ImageContent()
    if path.suffix.lower() not in _MASK_SUFFIXES:
        return ImageContent("photo")
    try:
        with Image.open(path, formats=MASK_FORMATS) as image:  # others would start programs
            size = image.size
            if image.format not in MASK_FORMATS or size[0] * size[1] > MAX_MASK_PIXELS:
                return ImageContent("photo", size)
            image.draft(image.mode if image.mode in {"L", "RGB"} else "RGB", (512, 512))
            kind, values = decode_pixels(image)
    except Exception:  # decoders raise any type; an unreadable image is no evidence
        return ImageContent()
    return ImageContent(_classify_values(kind, values), size)


def _classify_values(kind: str, values: MaskPixels) -> Literal["mask", "photo", ""]:
    if len(np.unique(values[::_STEP, ::_STEP])) > _MAX_VALUES:  # most photos: no need to count all
        return "photo"
    present = len(np.unique(values))
    if present == 1:
        return ""
    if present <= _FEW_VALUES:
        return "mask"
    middle = (values > 16) & (values < 239) if kind == "number" and values.dtype == np.uint8 else values > 0
    if kind == "number" and values.dtype == np.uint8 and middle.mean() < _MAX_MIDDLE_SHARE:
        return "mask"
    flat = (find_flat_blocks(values) & middle[1:, 1:]).sum()
    is_flat = flat >= _MIN_FLAT_SHARE * middle[1:, 1:].sum()
    return "mask" if present <= _MAX_VALUES and is_flat else "photo"
