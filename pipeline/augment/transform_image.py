"""Transform the pixels of an image with OpenCV: geometry, contrast, brightness, blur, noise, pasted objects.

docs/decisions/augmentation.md says why OpenCV, and not AlbumentationsX or torchvision.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from pipeline.augment.affine import Matrix, build_affine_matrix, shift_to_pixel_centers, transform_points
from pipeline.augment.parameters import AugmentationParameters
from pipeline.core.arrays import FloatArray, ImageArray

if TYPE_CHECKING:
    from cv2.typing import MatLike

BORDER_COLOR = (114, 114, 114)
"""BGR of what is outside the source image: the gray of Ultralytics' letterbox. A mirrored border would show
objects that have no label."""


def transform_image(image: ImageArray, parameters: AugmentationParameters, seed: int) -> ImageArray:
    """Transform an image: geometry with one interpolation, then contrast and brightness, blur, noise.

    Args:
        image: Height x width x 3, BGR.
        parameters: The drawn values.
        seed: Seed of the noise.
    """
    warped = _warp(image, build_affine_matrix(parameters, image.shape[1], image.shape[0]))
    toned = cv2.LUT(warped, _build_tone_table(parameters, mean=sum(cv2.mean(image)) / 3))
    blurred = cv2.GaussianBlur(toned, (0, 0), parameters.blur) if parameters.blur else toned
    noisy = _add_noise(blurred, parameters.noise * 255, seed) if parameters.noise else blurred
    return np.asarray(noisy, np.uint8)


def paste_object(image: ImageArray, donor: ImageArray, outline: FloatArray, matrix: Matrix) -> ImageArray:
    """Return an image with an object of another image pasted on it, its edge blended.

    Args:
        image: Height x width x 3, BGR.
        donor: The image that the object comes from.
        outline: The object's outline (k, 2) in pixels of `donor`.
        matrix: 3 x 3, from pixels of `donor` to pixels of `image`, on pixel edges.
    """
    transformed = transform_points(outline, matrix)
    left, top = (int(side) for side in np.maximum(np.floor(transformed.min(axis=0)), 0))
    right, bottom = (int(side) for side in np.minimum(np.ceil(transformed.max(axis=0)), image.shape[1::-1]))
    to_window = matrix - np.array([[0, 0, left], [0, 0, top], [0, 0, 0]])
    size = right - left, bottom - top
    affine = shift_to_pixel_centers(to_window)[:2]
    pixels = cv2.warpAffine(donor, affine, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    opacity = _measure_coverage(transformed - (left, top), size)[..., None] / np.float32(255)
    pasted = image.copy()
    window = pasted[top:bottom, left:right]
    window[:] = np.rint(window * (1 - opacity) + pixels * opacity)
    return pasted


def _measure_coverage(outline: FloatArray, size: tuple[int, int]) -> ImageArray:
    """Return how much of each pixel an outline covers, 0..255.

    It is drawn four times as large, because OpenCV fills every pixel that the edge touches.
    """
    factor = 4 if max(size) <= 1000 else 1
    canvas = np.zeros((size[1] * factor, size[0] * factor), np.uint8)
    cv2.fillPoly(canvas, [np.rint((outline * factor - 0.5) * 16).astype(np.int32)], 255, shift=4)
    return np.asarray(cv2.resize(canvas, size, interpolation=cv2.INTER_AREA), np.uint8)


def _warp(image: ImageArray, matrix: Matrix) -> MatLike:
    if np.array_equal(matrix, np.eye(3)):
        return image
    height, width = image.shape[:2]
    affine = shift_to_pixel_centers(matrix)[:2]
    return cv2.warpAffine(image, affine, (width, height), flags=cv2.INTER_LINEAR, borderValue=BORDER_COLOR)


def _build_tone_table(parameters: AugmentationParameters, *, mean: float) -> ImageArray:
    """Return the new value of each gray level; contrast keeps the image's mean."""
    toned = (np.arange(256) - mean) * parameters.contrast + mean + parameters.brightness * 255
    return np.asarray(np.clip(np.rint(toned), 0, 255), np.uint8)


def _add_noise(image: MatLike, deviation: float, seed: int) -> MatLike:
    """Add Gaussian noise in whole gray levels; OpenCV draws it several times faster than numpy."""
    cv2.setRNGSeed(seed % 2**31)  # OpenCV has one generator per thread
    noise = np.empty(image.shape, np.int16)
    flat = noise.reshape(len(noise), -1)  # one channel gives the same values, and is faster
    cv2.randn(flat, np.zeros(1), np.full(1, deviation))
    return cv2.add(image, noise, dtype=cv2.CV_8U)
