"""How an image looks as a whole: how bright it is, how sharp, and the thumbnail by which copies are found."""

from __future__ import annotations

from typing import Final, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.edges.duplicates import signature

SIDE: Final = 640
"""The longer side at which sharpness is measured: about what training sees, whatever the camera gave."""


class Appearance(NamedTuple):
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


UNKNOWN: Final = Appearance(float("nan"), float("nan"))


def measure(image: NDArray[np.uint8]) -> Appearance:
    """Measure an image (height, width, 3), BGR; it is left as it is."""
    grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    scale = SIDE / max(image.shape[:2])
    if scale < 1:
        grey = cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    deviation = float(cv2.meanStdDev(cv2.Laplacian(grey, cv2.CV_16S))[1][0, 0])
    brightness, thumbnail = round(float(grey.mean()) / 255, 4), signature(grey)  # type: ignore[arg-type]
    return Appearance(brightness, round(deviation**2, 2), thumbnail)
