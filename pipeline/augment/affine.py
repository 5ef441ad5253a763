"""Affine matrices of the geometric transforms, and what they do to points and boxes.

Coordinates are measured on pixel edges: an image of width W spans 0 to W, its first pixel 0 to 1. Boxes are
measured so, and a flip is x -> W - x. Image libraries count from pixel centers: `shift_to_pixel_centers`
converts a matrix for them.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from pipeline.augment.parameters import AugmentationParameters
from pipeline.core.arrays import FloatArray

Matrix = NDArray[np.float64]


def build_affine_matrix(parameters: AugmentationParameters, width: int, height: int) -> Matrix:
    """Compose flips, rotation, scale and crop into one 3 x 3 matrix, so that pixels are interpolated once.

    The image keeps its width and height. It is rotated and scaled about its center. The rest of a crop is
    enlarged to the whole image.
    """
    to_center, from_center = _shift(-width / 2, -height / 2), _shift(width / 2, height / 2)
    rotated = from_center @ _rotate_and_scale(parameters) @ _flip(parameters) @ to_center
    zoom = 1 / (1 - parameters.crop)
    window = _shift(-parameters.crop * parameters.left * width, -parameters.crop * parameters.top * height)
    cropped: Matrix = np.diag([zoom, zoom, 1.0]) @ window @ rotated
    return cropped


def shift_to_pixel_centers(matrix: Matrix) -> Matrix:
    """Convert a matrix on pixel edges for a library that puts the first pixel's center at 0."""
    centered: Matrix = _shift(-0.5, -0.5) @ matrix @ _shift(0.5, 0.5)
    return centered


def transform_boxes(boxes: FloatArray, matrix: Matrix) -> FloatArray:
    """Return the tight upright box around each box's inscribed ellipse after the transform.

    For flips, scale and crop this is exactly the transformed box. Under rotation the hull of a box's corners
    grows far beyond the object in it, and the ellipse's box is closer to the truth: measured in
    docs/decisions/augmentation.md; Kalra et al., Towards Rotation Invariance in Object Detection, ICCV 2021.
    The ellipse around c with half axes a, b is {c + (a cos t, b sin t)}; a linear map L makes its half width
    sqrt((L11 a)^2 + (L12 b)^2).

    Args:
        boxes: (n, 4) x1 y1 x2 y2 in pixels.
        matrix: 3 x 3, on pixel edges.
    """
    centers, half_sides = _split_boxes(boxes)
    return _build_boxes(centers, np.sqrt(half_sides**2 @ (matrix[:2, :2] ** 2).T), matrix)


def transform_box_hulls(boxes: FloatArray, matrix: Matrix) -> FloatArray:
    """Return the upright box around each box's four corners after the transform; no part is outside of it."""
    centers, half_sides = _split_boxes(boxes)
    return _build_boxes(centers, half_sides @ np.abs(matrix[:2, :2]).T, matrix)


def transform_points(xy: FloatArray, matrix: Matrix) -> FloatArray:
    """Transform points (..., 2)."""
    transformed: FloatArray = xy @ matrix[:2, :2].T + matrix[:2, 2]
    return transformed


def is_mirrored(matrix: Matrix) -> bool:
    """Tell whether the transform swaps left and right: an odd number of flips, with any rotation."""
    return bool(np.linalg.det(matrix[:2, :2]) < 0)


def clip_boxes(boxes: FloatArray, width: int, height: int) -> FloatArray:
    """Cut boxes (n, 4) at the image's edges; a box outside the image gets no area."""
    limits = np.array([width, height, width, height], np.float64)
    return np.clip(boxes, 0, limits)


def compute_visible_shares(boxes: FloatArray, clipped: FloatArray) -> NDArray[np.float64]:
    """Return the share (n,) of each box's area that is left after clipping, 0..1."""
    shares: NDArray[np.float64] = _compute_areas(clipped) / np.maximum(_compute_areas(boxes), 1e-12)
    return shares


def _split_boxes(boxes: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return centers and half sides."""
    return (boxes[:, :2] + boxes[:, 2:]) / 2, (boxes[:, 2:] - boxes[:, :2]) / 2


def _build_boxes(centers: FloatArray, half_sides: FloatArray, matrix: Matrix) -> FloatArray:
    """Return boxes around the transformed centers."""
    transformed = transform_points(centers, matrix)
    return np.concatenate([transformed - half_sides, transformed + half_sides], axis=1)


def _compute_areas(boxes: FloatArray) -> NDArray[np.float64]:
    return np.asarray(np.prod(boxes[:, 2:] - boxes[:, :2], axis=1), np.float64)


def _shift(x: float, y: float) -> Matrix:
    return np.array([[1.0, 0.0, x], [0.0, 1.0, y], [0.0, 0.0, 1.0]])


def _flip(parameters: AugmentationParameters) -> Matrix:
    return np.diag([-1.0 if parameters.fliplr else 1.0, -1.0 if parameters.flipud else 1.0, 1.0])


def _rotate_and_scale(parameters: AugmentationParameters) -> Matrix:
    """Return rotation and scale about the origin; clockwise to the eye, because y grows downwards."""
    angle = math.radians(parameters.rotate)
    cos, sin = math.cos(angle) * parameters.scale, math.sin(angle) * parameters.scale
    return np.array([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]])
