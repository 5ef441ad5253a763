"""Decode an uploaded image as training reads images, after a check of the size that its header states."""

from __future__ import annotations

import io
import warnings
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from pipeline.prepare.images.decode import decode_color, require_small_tiles
from pipeline.prepare.images.errors import UnusableImageError
from pipeline.prepare.images.truncation import is_complete
from pipeline.serve.uploads.limits import RequestError

FORMATS: Final = ("BMP", "JPEG", "PNG", "TIFF", "WEBP")
"""Formats that are read; JPEG includes MPO, whose first picture is the photograph."""
MAX_SCANS: Final = 200
"""Of a progressive JPEG, which usually has ten: each goes over all pixels again, and takes a few bytes."""
_JPEG_START, _JPEG_SCAN = b"\xff\xd8", b"\xff\xda"


def read_image_size(data: bytes, *, max_pixels: int) -> tuple[int, int]:
    """Return width and height of an image as its header states them; no pixel is decoded.

    Raises:
        RequestError: It is no image, has several frames (400), or more than `max_pixels` pixels (413).
    """
    if data.startswith(_JPEG_START) and data.count(_JPEG_SCAN) > MAX_SCANS:
        raise RequestError(400, f"has more than {MAX_SCANS} scans: save it as another JPEG")
    try:
        with warnings.catch_warnings(action="ignore"), Image.open(io.BytesIO(data), formats=FORMATS) as image:
            width, height = image.size
            require_small_tiles(image)
            frames = image.format != "MPO" and width * height <= max_pixels and _has_second_frame(image)
    except MemoryError:
        raise
    except UnusableImageError as error:
        raise RequestError(413, f"has {error}") from None
    except (UnidentifiedImageError, ModuleNotFoundError):  # Ultralytics lets Pillow import another library
        raise RequestError(400, f"is no image: send {', '.join(FORMATS[:-1])} or {FORMATS[-1]}") from None
    except Exception:  # the readers of damaged headers raise OSError, SyntaxError, struct.error and others
        raise RequestError(400, "is damaged: its header cannot be read") from None
    if width * height > max_pixels:
        pixels = f"{width} x {height} pixels: more than {max_pixels:,} are not decoded"
        raise RequestError(413, f"has {pixels}; scale it down or cut it into tiles")
    if frames:
        raise RequestError(400, "has several frames or pages: send each as an image")
    return width, height


def decode_upload(data: bytes) -> NDArray[np.uint8]:
    """Return the pixels of an image: (height, width, 3) blue green red, turned by its EXIF orientation.

    Call `read_image_size` before.

    Raises:
        RequestError: It is damaged or cut short (400).
        MemoryError: The memory is not enough.
    """
    try:
        if not is_complete(data):
            _require_all_data(data)
        return decode_color(data)
    except UnusableImageError as error:
        raise RequestError(400, f"cannot be decoded: {error}") from None


def _has_second_frame(image: Image.Image) -> bool:
    try:
        image.seek(1)
    except EOFError:
        return False
    return True


def _require_all_data(data: bytes) -> None:
    """Decode an image with Pillow, which notices missing data; OpenCV would fill the rest with gray."""
    try:
        with warnings.catch_warnings(action="ignore"), Image.open(io.BytesIO(data), formats=FORMATS) as image:
            image.load()
    except MemoryError:
        raise
    except Exception as error:
        raise RequestError(400, f"is damaged: {' '.join(str(error).split())[:200]}") from None
