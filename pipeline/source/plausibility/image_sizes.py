"""Read the sizes of images from their headers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final, TypeVar

from PIL import Image

from pipeline.source.reading.file_tree import is_file

Item = TypeVar("Item")

_EXIF_ORIENTATION: Final = 0x0112
_SWAPPED_SIDES: Final = {5, 6, 7, 8}


def read_displayed_size(path: Path) -> tuple[int, int] | None:
    """Read width and height from the header, after EXIF rotation; None if the file cannot be read."""
    if not is_file(path):  # opening a pipe would block
        return None
    try:
        with Image.open(path) as image:
            # Pillow gives the size of a TIFF as turned already, and its tag still.
            is_rotated = (
                image.format != "TIFF" and image.getexif().get(_EXIF_ORIENTATION, 1) in _SWAPPED_SIDES
            )
            return (image.height, image.width) if is_rotated else (image.width, image.height)
    except Exception:  # decoders raise any type; prepare reports the image
        return None


def read_orientation(path: Path) -> int:
    """Read the EXIF orientation, 1 to 8; 1 if there is none or the file cannot be read."""
    if not is_file(path):
        return 1
    try:
        with Image.open(path) as image:
            return int(image.getexif().get(_EXIF_ORIENTATION, 1))
    except Exception:  # decoders raise any type
        return 1


def choose_evenly(items: Sequence[Item], few: int) -> Sequence[Item]:
    """Choose a few items, spread evenly over a sequence."""
    return items if len(items) <= few else [items[number * len(items) // few] for number in range(few)]
