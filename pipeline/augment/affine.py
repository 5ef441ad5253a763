"""Where a recipe moves pixels and boxes: affine matrices on pixel edges, and the boxes that follow them.

Coordinates lie on pixel edges: an image of width W spans 0 to W, its first pixel 0 to 1. Boxes are measured
so, and a flip is x -> W - x. Image libraries count pixel centres; `on_centres` turns the one into the other.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from pipeline.augment.parameters import AugmentationParameters
from pipeline.core.arrays import FloatArray

Matrix = NDArray[np.float64]


def matrix(recipe: AugmentationParameters, width: int, height: int) -> Matrix:
    """Compose flips, rotation, scale and crop into one 3 x 3 matrix, so that pixels are interpolated once.

    The image keeps its width and height: it is turned and scaled about its centre, and what a crop leaves is
    enlarged to the whole.
    """
    turned = _shift(width / 2, height / 2) @ _turn(recipe) @ _flip(recipe) @ _shift(-width / 2, -height / 2)
    zoom = 1 / (1 - recipe.crop)
    window = _shift(-recipe.crop * recipe.left * width, -recipe.crop * recipe.top * height)
    cropped: Matrix = np.diag([zoom, zoom, 1.0]) @ window @ turned
    return cropped


def on_centres(moved: Matrix) -> Matrix:
    """Rewrite a matrix on pixel edges for a library that gives the first pixel's centre the coordinate 0."""
    centred: Matrix = _shift(-0.5, -0.5) @ moved @ _shift(0.5, 0.5)
    return centred


def move(boxes: FloatArray, moved: Matrix) -> FloatArray:
    """Return the tight upright box around each box's inscribed ellipse after the transform.

    For flips, scale and crop this is exactly the moved box. Under rotation the hull of a box's corners grows
    far beyond the object in it; the ellipse's is closer to the truth (docs/decisions/augmentation.md measures
    it; Kalra et al., Towards Rotation Invariance in Object Detection, ICCV 2021). The ellipse around c with
    half axes a, b is {c + (a cos t, b sin t)}; a linear map L gives it sqrt((L11 a)^2 + (L12 b)^2) in x.

    Args:
        boxes: (n, 4) x1 y1 x2 y2 in pixels.
        moved: 3 x 3, on pixel edges.
    """
    centres, halves = _halves(boxes)
    return _around(centres, np.sqrt(halves**2 @ (moved[:2, :2] ** 2).T), moved)


def hull(boxes: FloatArray, moved: Matrix) -> FloatArray:
    """Return the upright box around each box's four corners after the transform: nothing lies outside."""
    centres, halves = _halves(boxes)
    return _around(centres, halves @ np.abs(moved[:2, :2]).T, moved)


def points(xy: FloatArray, moved: Matrix) -> FloatArray:
    """Return where points (..., 2) lie after the transform."""
    there: FloatArray = xy @ moved[:2, :2].T + moved[:2, 2]
    return there


def mirrors(moved: Matrix) -> bool:
    """Tell whether left becomes right: at an odd number of flips, whatever the rotation."""
    return bool(np.linalg.det(moved[:2, :2]) < 0)


def clip(boxes: FloatArray, width: int, height: int) -> FloatArray:
    """Cut boxes (n, 4) at the image's edges; one that lies outside keeps no area."""
    limits = np.array([width, height, width, height], np.float64)
    return np.clip(boxes, 0, limits)


def shares(boxes: FloatArray, clipped: FloatArray) -> NDArray[np.float64]:
    """Return the share (n,) of each box's area that is left after clipping."""
    left: NDArray[np.float64] = _area(clipped) / np.maximum(_area(boxes), 1e-12)
    return left


def _halves(boxes: FloatArray) -> tuple[FloatArray, FloatArray]:
    return (boxes[:, :2] + boxes[:, 2:]) / 2, (boxes[:, 2:] - boxes[:, :2]) / 2


def _around(centres: FloatArray, halves: FloatArray, moved: Matrix) -> FloatArray:
    there = points(centres, moved)
    return np.concatenate([there - halves, there + halves], axis=1)


def _area(boxes: FloatArray) -> NDArray[np.float64]:
    return np.asarray(np.prod(boxes[:, 2:] - boxes[:, :2], axis=1), np.float64)


def _shift(x: float, y: float) -> Matrix:
    return np.array([[1.0, 0.0, x], [0.0, 1.0, y], [0.0, 0.0, 1.0]])


def _flip(recipe: AugmentationParameters) -> Matrix:
    return np.diag([-1.0 if recipe.fliplr else 1.0, -1.0 if recipe.flipud else 1.0, 1.0])


def _turn(recipe: AugmentationParameters) -> Matrix:
    """Rotation and scale; clockwise to the eye, for y grows downwards."""
    angle = math.radians(recipe.rotate)
    cos, sin = math.cos(angle) * recipe.scale, math.sin(angle) * recipe.scale
    return np.array([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]])
