"""Thumbnails of files that may be broken, malicious, or no images at all."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile, ImageOps

MAX_DECODED_PIXELS: Final = 50_000_000
"""Maximum number of pixels of an image that is decoded for a thumbnail."""

PILLOW_FORMATS: Final = ("JPEG", "PNG", "BMP", "WEBP", "TIFF", "GIF", "PPM")
"""Formats that Pillow may decode: its EPS decoder, for example, would start another program."""

Image.init()  # registers all plugins, from which `formats` selects

MAX_FILE_BYTES: Final = 100_000_000
"""Maximum size of a file that is decoded for a thumbnail."""


def read_thumbnail(name: str, root: Path, side: int) -> NDArray[np.uint8] | None:
    """Return a thumbnail (BGR) of a file of the source; None if it cannot be decoded.

    Args:
        name: Path relative to the source folder; a path out of it, by dots or links, is not opened.
        root: The source folder.
        side: Maximum length of the longer side in pixels.
    """
    try:
        path = (root / name).resolve()
        inside = path.is_relative_to(root.resolve())
        if not inside or not path.is_file() or path.stat().st_size > MAX_FILE_BYTES:
            return None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns about metadata; the finding already has the reason
            return _decode_thumbnail(path, side)
    except Exception:  # decoders raise any exception; the report already says that the file is unreadable
        return None


def _decode_thumbnail(path: Path, side: int) -> NDArray[np.uint8] | None:
    with Image.open(path, formats=PILLOW_FORMATS) as image:
        if image.width * image.height > MAX_DECODED_PIXELS:
            return None
        image.draft("RGB", (side * 2, side * 2))  # a JPEG is decoded at a fraction of its size
        if not _decode_partly(image):
            return None
        oriented = ImageOps.exif_transpose(image)
        oriented.thumbnail((side, side))
        return np.ascontiguousarray(np.asarray(_convert_to_eight_bits(oriented).convert("RGB"))[..., ::-1])


def _decode_partly(image: ImageFile.ImageFile) -> bool:
    """Decode an image; of a truncated file, the part before the cut. Tell whether there is any content."""
    try:
        image.load()
    except OSError:
        image.tile = []  # otherwise Pillow would try to load it again
        return image.getbbox() is not None
    return True


def _convert_to_eight_bits(image: Image.Image) -> Image.Image:
    """Scale gray values of 16 bits and more to 0..255; Pillow would clip them."""
    if not image.mode.startswith(("I", "F")):
        return image
    values = np.nan_to_num(np.asarray(image, np.float64))
    span = max(float(np.ptp(values)), 1.0)
    return Image.fromarray(np.rint((values - values.min()) / span * 255).astype(np.uint8))
