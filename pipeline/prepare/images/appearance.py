"""How an image looks as a whole: how bright it is, how sharp, and the thumbnail by which copies are found."""

from __future__ import annotations

from typing import Final, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.prepare.duplicates.search import SIDE

SHARPNESS_SIDE: Final = 640
"""The longer side at which sharpness is measured: about what training sees, whatever the camera gave."""


class ImageAppearance(NamedTuple):
    """Two numbers of an image, and its thumbnail.

    Attributes:
        brightness: Mean of the grey values, 0 black to 1 white.
        sharpness: Variance of the Laplacian of the grey values 0..255 (Pech-Pacheco et al., ICPR 2000): low
            where an image is blurred, or empty.
        signature: Its thumbnail, as `duplicates.signature` makes it.
    """

    brightness: float
    sharpness: float
    signature: bytes = b""


UNKNOWN: Final = ImageAppearance(float("nan"), float("nan"))


def measure(image: NDArray[np.uint8]) -> ImageAppearance:
    """Measure an image, in grey (height, width) or BGR (height, width, 3); it is left as it is."""
    grey = image if image.ndim == 2 else np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), np.uint8)
    scale = SHARPNESS_SIDE / max(grey.shape)
    if scale < 1:
        grey = np.asarray(cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)
    return ImageAppearance(round(cv2.mean(grey)[0] / 255, 4), round(_sharpness(grey), 2), signature(grey))


def _sharpness(grey: NDArray[np.uint8]) -> float:
    """Return the variance of the Laplacian; from two sums, since cv2.meanStdDev takes ten times as long."""
    edges = cv2.Laplacian(grey, cv2.CV_16S)
    mean, square = cv2.sumElems(edges)[0] / edges.size, cv2.norm(edges, cv2.NORM_L2SQR) / edges.size
    return max(square - mean**2, 0.0)


SMALLEST: Final = 32
"""Pixels of a side: two digits of 28 pixels may look the same and still be two."""


def signature(grey: NDArray[np.uint8]) -> bytes:
    """Return the thumbnail of an image (height, width) in grey: SIDE * SIDE bytes, row by row.

    Returns:
        Nothing where the image is too small to tell a copy from another of its kind.
    """
    height, width = grey.shape
    if min(grey.shape) < SMALLEST:
        return b""
    # the longer side by itself first: where SIDE divides it, that takes a third of the time of both at once
    narrow = cv2.resize(
        grey, (SIDE, height) if width >= height else (width, SIDE), interpolation=cv2.INTER_AREA
    )
    return cv2.resize(narrow, (SIDE, SIDE), interpolation=cv2.INTER_AREA).tobytes()
