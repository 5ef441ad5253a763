"""The one door to the augmentation library, OpenCV: pixels follow a recipe.

Why OpenCV itself and neither AlbumentationsX nor torchvision: docs/decisions/augmentation.md.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from pipeline.augment import affine as augment_affine
from pipeline.augment.affine import Matrix, on_centres
from pipeline.augment.parameters import AugmentationParameters
from pipeline.core.errors import UserError

if TYPE_CHECKING:
    from cv2.typing import MatLike

from pipeline.core.arrays import FloatArray, ImageArray

OUTSIDE = (114, 114, 114)
"""What lies outside the source image: Ultralytics' letterbox grey. A mirrored border would show objects that
bear no label."""

JPEG = (".jpg", ".jpeg")
QUALITY = (cv2.IMWRITE_JPEG_QUALITY, 95)


def read(path: Path) -> ImageArray:
    """Read an image as BGR, turned as its EXIF orientation says, which is how training reads it.

    Raises:
        Refused: It is no image.
    """
    try:
        image = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_COLOR)
    except (OSError, cv2.error):
        image = None
    if image is None:
        raise UserError(f"{path} cannot be read as an image: run prepare again")
    return np.asarray(image, np.uint8)


def encode(image: ImageArray, suffix: str) -> bytes:
    """Encode as JPEG of quality 95, or as PNG, which loses nothing."""
    return cv2.imencode(suffix, image, QUALITY if suffix.lower() in JPEG else ())[1].tobytes()


def apply(image: ImageArray, recipe: AugmentationParameters, seed: int) -> ImageArray:
    """Transform an image: geometry with one interpolation, then contrast and brightness, blur, noise.

    Args:
        image: Height x width x 3, BGR.
        recipe: The drawn values.
        seed: Of the noise.
    """
    moved = _warp(image, augment_affine.matrix(recipe, image.shape[1], image.shape[0]))
    toned = cv2.LUT(moved, _tones(recipe, middle=sum(cv2.mean(image)) / 3))
    blurred = cv2.GaussianBlur(toned, (0, 0), recipe.blur) if recipe.blur else toned
    noisy = _noisy(blurred, recipe.noise * 255, seed) if recipe.noise else blurred
    return np.asarray(noisy, np.uint8)


def paste(image: ImageArray, donor: ImageArray, ring: FloatArray, moved: Matrix) -> ImageArray:
    """Return an image with an object of another laid over it, its edge blended.

    Args:
        image: Height x width x 3, BGR.
        donor: The image that the object comes from.
        ring: The object's outline (k, 2) in pixels of `donor`.
        moved: 3 x 3, from pixels of `donor` to pixels of `image`, on pixel edges.
    """
    there = augment_affine.points(ring, moved)
    left, top = (int(side) for side in np.maximum(np.floor(there.min(axis=0)), 0))
    right, bottom = (int(side) for side in np.minimum(np.ceil(there.max(axis=0)), image.shape[1::-1]))
    window = moved - np.array([[0, 0, left], [0, 0, top], [0, 0, 0]])
    size = right - left, bottom - top
    affine = on_centres(window)[:2]
    pixels = cv2.warpAffine(donor, affine, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    share = _cover(there - (left, top), size)[..., None] / np.float32(255)
    pasted = image.copy()
    ground = pasted[top:bottom, left:right]
    ground[:] = np.rint(ground * (1 - share) + pixels * share)
    return pasted


def _cover(ring: FloatArray, size: tuple[int, int]) -> ImageArray:
    """Return how much of each pixel an outline covers, of 255.

    It is drawn four times as large: OpenCV fills every pixel that the edge only touches.
    """
    fine = 4 if max(size) <= 1000 else 1
    canvas = np.zeros((size[1] * fine, size[0] * fine), np.uint8)
    cv2.fillPoly(canvas, [np.rint((ring * fine - 0.5) * 16).astype(np.int32)], 255, shift=4)
    return np.asarray(cv2.resize(canvas, size, interpolation=cv2.INTER_AREA), np.uint8)


def _warp(image: ImageArray, moved: Matrix) -> MatLike:
    if np.array_equal(moved, np.eye(3)):
        return image
    height, width = image.shape[:2]
    affine = on_centres(moved)[:2]
    return cv2.warpAffine(image, affine, (width, height), flags=cv2.INTER_LINEAR, borderValue=OUTSIDE)


def _tones(recipe: AugmentationParameters, *, middle: float) -> ImageArray:
    """Give each grey level its new one; contrast turns about the image's mean, and so leaves it."""
    toned = (np.arange(256) - middle) * recipe.contrast + middle + recipe.brightness * 255
    return np.asarray(np.clip(np.rint(toned), 0, 255), np.uint8)


def _noisy(image: MatLike, deviation: float, seed: int) -> MatLike:
    """Add Gaussian noise in whole grey levels; OpenCV draws it several times faster than numpy."""
    cv2.setRNGSeed(seed % 2**31)  # of this thread alone
    drawn = np.empty(image.shape, np.int16)
    flat = drawn.reshape(len(drawn), -1)  # as one colour: the same values, sooner
    cv2.randn(flat, np.zeros(1), np.full(1, deviation))
    return cv2.add(image, drawn, dtype=cv2.CV_8U)
