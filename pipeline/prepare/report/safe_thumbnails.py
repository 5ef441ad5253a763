"""A small picture of a file that may be broken, hostile, or no image at all."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile, ImageOps

LARGEST: Final = 50_000_000
"""Pixels; what is larger is not decoded for a thumbnail."""

FORMATS: Final = ("JPEG", "PNG", "BMP", "WEBP", "TIFF", "GIF", "PPM")
"""What Pillow is let try: its decoder for EPS would start another program."""

Image.init()  # all plugins are there to be chosen from

HEAVIEST: Final = 100_000_000
"""Bytes of a file; the same."""


def read(name: str, root: Path, side: int) -> NDArray[np.uint8] | None:
    """Return a picture (BGR) of a source's file, `side` pixels at most; None where there is nothing to see.

    Args:
        name: Relative to the source folder; what leads out of it, by dots or links, is not opened.
        root: The source folder.
        side: Pixels of the longer side.
    """
    try:
        path = (root / name).resolve()
        inside = path.is_relative_to(root.resolve())
        if not inside or not path.is_file() or path.stat().st_size > HEAVIEST:
            return None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's on metadata: the defect's reason says what matters
            return _read(path, side)
    except Exception:  # decoders raise what they like; that it cannot be read is what the report says anyway
        return None


def _read(path: Path, side: int) -> NDArray[np.uint8] | None:
    with Image.open(path, formats=FORMATS) as image:
        if image.width * image.height > LARGEST:
            return None
        image.draft("RGB", (side * 2, side * 2))  # a JPEG is decoded at a fraction of its size
        if not _decoded(image):
            return None
        turned = ImageOps.exif_transpose(image)
        turned.thumbnail((side, side))
        return np.ascontiguousarray(np.asarray(_eight_bit(turned).convert("RGB"))[..., ::-1])


def _decoded(image: ImageFile.ImageFile) -> bool:
    """Decode what there is: of a file that stops short, the part before the cut; tell whether that is any."""
    try:
        image.load()
    except OSError:
        image.tile = []  # it is not tried again
        return image.getbbox() is not None
    return True


def _eight_bit(image: Image.Image) -> Image.Image:
    """Stretch deep grey values over 0..255, where Pillow would cut them off."""
    if not image.mode.startswith(("I", "F")):
        return image
    values = np.nan_to_num(np.asarray(image, np.float64))
    span = max(float(np.ptp(values)), 1.0)
    return Image.fromarray(np.rint((values - values.min()) / span * 255).astype(np.uint8))
