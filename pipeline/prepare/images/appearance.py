"""Measure brightness and sharpness of an image, and make its thumbnail for the search for near duplicates."""

from __future__ import annotations

from typing import Final, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.prepare.duplicates.perceptual_hash import THUMBNAIL_SIDE

SHARPNESS_SIDE: Final = 640
"""Longer side in pixels at which sharpness is measured: about the size that training uses."""
MIN_COMPARABLE_SIDE: Final = 32
"""Pixels. Smaller images get no thumbnail: two different digits of 28 pixels may look the same."""


class ImageAppearance(NamedTuple):
    """Brightness, sharpness and thumbnail of an image.

    Attributes:
        brightness: Mean of the gray values, 0 black to 1 white.
        sharpness: Variance of the Laplacian of the gray values 0..255 (Pech-Pacheco et al., ICPR 2000): low
            where an image is blurred or empty.
        thumbnail: Bytes from `make_thumbnail`; empty where there is none.
    """

    brightness: float
    sharpness: float
    thumbnail: bytes = b""


UNKNOWN_APPEARANCE: Final = ImageAppearance(float("nan"), float("nan"))


def measure_appearance(image: NDArray[np.uint8]) -> ImageAppearance:
    """Measure an image in gray (height, width) or BGR (height, width, 3), without changing it."""
    gray = image if image.ndim == 2 else np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), np.uint8)
    is_comparable = min(gray.shape) >= MIN_COMPARABLE_SIDE
    scale = SHARPNESS_SIDE / max(gray.shape)
    if scale < 1:
        gray = np.asarray(cv2.resize(gray, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)
    brightness = round(cv2.mean(gray)[0] / 255, 4)
    thumbnail = make_thumbnail(gray) if is_comparable else b""
    return ImageAppearance(brightness, round(_measure_sharpness(gray), 2), thumbnail)


def _measure_sharpness(gray: NDArray[np.uint8]) -> float:
    """Return the variance of the Laplacian, from two sums: cv2.meanStdDev takes ten times as long."""
    edges = cv2.Laplacian(gray, cv2.CV_16S)
    mean, square = cv2.sumElems(edges)[0] / edges.size, cv2.norm(edges, cv2.NORM_L2SQR) / edges.size
    return max(square - mean**2, 0.0)


def make_thumbnail(gray: NDArray[np.uint8]) -> bytes:
    """Return the thumbnail of a gray image (height, width): THUMBNAIL_SIDE squared bytes, row by row.

    An image with a side under `MIN_COMPARABLE_SIDE` is too small to tell duplicates from similar images.
    """
    height, width = gray.shape
    # Resize the longer side first: where THUMBNAIL_SIDE divides it, this takes a third of the time.
    first_size = (THUMBNAIL_SIDE, height) if width >= height else (width, THUMBNAIL_SIDE)
    narrow = cv2.resize(gray, first_size, interpolation=cv2.INTER_AREA)
    return cv2.resize(narrow, (THUMBNAIL_SIDE, THUMBNAIL_SIDE), interpolation=cv2.INTER_AREA).tobytes()
