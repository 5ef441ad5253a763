"""Read images, and encode them in the format of their file (JPEG quality, PNG)."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from pipeline.core.arrays import ImageArray
from pipeline.core.errors import UserError


def read_image(path: Path) -> ImageArray:
    """Read an image as BGR, rotated by its EXIF orientation, as training reads it.

    Raises:
        UserError: The file is not a readable image.
    """
    try:
        image = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_COLOR)
    except (OSError, cv2.error):
        image = None
    if image is None:
        raise UserError(f"{path} cannot be read as an image: run prepare again")
    return np.asarray(image, np.uint8)


def encode_image(image: ImageArray, suffix: str) -> bytes:
    """Encode as JPEG of quality 95, or as lossless PNG."""
    return cv2.imencode(suffix, image, JPEG_OPTIONS if suffix.lower() in JPEG_SUFFIXES else ())[1].tobytes()


JPEG_SUFFIXES = (".jpg", ".jpeg")


JPEG_OPTIONS = (cv2.IMWRITE_JPEG_QUALITY, 95)
