"""Image files: can training read this one, and what size will it see?

Ultralytics reads with OpenCV, which turns a photograph as its EXIF orientation says. So does this module:
width and height, and hence all boxes, are those of the image as it is displayed.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Final, NamedTuple

import cv2
import numpy as np
from PIL import Image, UnidentifiedImageError

_SUFFIXES: Final = {
    "JPEG": (".jpg", ".jpeg"),
    "MPO": (".jpg", ".jpeg", ".mpo"),
    "PNG": (".png",),
    "BMP": (".bmp",),
    "WEBP": (".webp",),
    "TIFF": (".tif", ".tiff"),
}
_SMALLEST: Final = 10
"""Pixels of a side; Ultralytics leaves out what is smaller."""

_JPEG_END: Final = b"\xff\xd9"


class Unusable(ValueError):
    """Say why an image cannot be used."""


class Usable(NamedTuple):
    """An image that training can read.

    Attributes:
        data: The file's bytes; those of the source, unless `note` says otherwise.
        suffix: The suffix that fits the contents.
        size: Width and height in pixels, as displayed.
        note: What was mended, if anything.
    """

    data: bytes
    suffix: str
    size: tuple[int, int]
    note: str


def examine(path: Path) -> Usable:
    """Read an image file whole and decode it.

    Raises:
        Unusable: It is missing, empty, cut, of another format, or too small.
    """
    data = _read(path)
    form = _decode(data)
    size = _displayed(data)
    if min(size) < _SMALLEST:
        raise Unusable(f"{size[0]} x {size[1]} pixels: training leaves out images under {_SMALLEST} pixels")
    whole, notes = (data, []) if form != "JPEG" else _ended(data)
    suffix = path.suffix.lower()
    if suffix not in _SUFFIXES[form]:
        notes.append(f"{form} contents under the suffix {path.suffix}")
        suffix = _SUFFIXES[form][0]
    return Usable(whole, suffix, size, "; ".join(notes))


def _read(path: Path) -> bytes:
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise Unusable("no such file") from None
    except OSError as error:
        raise Unusable(f"cannot be read ({error.strerror})") from None
    if not data:
        raise Unusable("an empty file (0 bytes)")
    return data


def _decode(data: bytes) -> str:
    """Decode with Pillow, which unlike OpenCV notices a file that stops short; return the format."""
    try:
        with Image.open(io.BytesIO(data)) as image:
            form = str(image.format)
            if form not in _SUFFIXES:
                raise Unusable(f"{form} is no format that training reads: convert it to PNG or JPEG")
            image.load()
    except (UnidentifiedImageError, ModuleNotFoundError):  # Pillow as Ultralytics changes it seeks pi_heif
        raise Unusable("not an image that can be read") from None
    except Unusable:
        raise
    except Exception as error:  # decoders raise what they like: OSError, SyntaxError, struct.error, ...
        raise Unusable(f"damaged: {error}") from None
    return form


def _displayed(data: bytes) -> tuple[int, int]:
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error:
        image = None
    if image is None:
        raise Unusable("OpenCV, with which training reads images, cannot read it")
    return int(image.shape[1]), int(image.shape[0])


def _ended(data: bytes) -> tuple[bytes, list[str]]:
    """Cut off what follows a JPEG's end: Ultralytics would take the file for damaged."""
    end = data.rfind(_JPEG_END) + len(_JPEG_END)
    surplus = len(data) - end
    return (data, []) if not surplus else (data[:end], [f"{surplus} bytes after the end of the JPEG cut off"])
