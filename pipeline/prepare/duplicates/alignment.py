"""Align two thumbnails as exactly as possible, and measure whether they show the same picture.

Alignment: shift and stretch along each axis by Gauss-Newton steps (Baker and Matthews, Lucas-Kanade 20 Years
On, IJCV 2004, inverse compositional), coarse to fine, without brightness and contrast. Similarity: the
correlation of details, which are what is left without smooth shading. Pictures of one kind have the same
shading; only copies have the same details.

A placement is (..., 4): scale and offset along y, scale and offset along x, with the image from -1 to 1.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from pipeline.core.arrays import Float32Array

MIN_SIMILARITY: Final = 0.82
"""Minimum correlation of details of two near duplicates."""

_STEPS: Final = {4: 8, 2: 4, 1: 3}
"""Gauss-Newton steps at a quarter of the thumbnail's resolution, at half, and at the whole."""
_MAX_OFFSET: Final = 0.3
"""Maximum offset of a side in half widths: 15% of the width."""
_SHADING_PIXELS: Final = 5
"""Side of the square that a thumbnail is averaged over to find its shading."""


def measure_similarity(first: Float32Array, second: Float32Array) -> NDArray[np.float32]:
    """Return the correlation of details of pairs of images: the higher one of unaligned and aligned.

    Args:
        first: (n, s, s) gray levels, s a multiple of 4, in the orientation of `second`.
        second: (n, s, s) gray levels.

    Returns:
        (n,) from -1 to 1; 0 if an image has no details.
    """
    identity = placements = np.tile(np.array([1, 0, 1, 0], np.float32), (len(first), 1))
    for factor, steps in _STEPS.items():
        small_first, small_second = _downscale(first, factor), _downscale(second, factor)
        jacobian, inverse = _linearize(small_first)
        for _ in range(steps):
            placements = _step(small_first, small_second, jacobian, inverse, placements)
    similarity: Float32Array = np.maximum(
        _correlate(first, second, identity), _correlate(first, second, placements)
    )
    return similarity


def _downscale(images: Float32Array, factor: int) -> Float32Array:
    count, side, _ = images.shape
    cells = images.reshape(count, side // factor, factor, side // factor, factor)
    means: Float32Array = cells.mean(axis=(2, 4))
    return means


def _build_grid(side: int) -> NDArray[np.float32]:
    """Return the coordinates of pixel centers; the image's edges are at -1 and 1."""
    return ((np.arange(side, dtype=np.float32) + 0.5) / side * 2 - 1).astype(np.float32)


def _linearize(images: Float32Array) -> tuple[Float32Array, Float32Array]:
    """Return the Jacobian of pixels (n, 4, s*s) by stretch and shift, and its inverse normal matrix."""
    count, side, _ = images.shape
    normalized = _normalize(images, np.ones_like(images))
    down, along = np.gradient(normalized, axis=(1, 2))
    grid = _build_grid(side)
    jacobian = np.stack([down * grid[:, None], down, along * grid, along], axis=1) * (side / 2)
    jacobian = jacobian.reshape(count, 4, -1).astype(np.float32)
    normal = jacobian @ jacobian.swapaxes(1, 2)
    ridge = 1e-2 * np.trace(normal, axis1=1, axis2=2)[:, None, None] / 4 + 1e-6
    return jacobian, np.linalg.inv(normal + ridge * np.eye(4, dtype=np.float32)).astype(np.float32)


def _step(
    first: Float32Array,
    second: Float32Array,
    jacobian: Float32Array,
    inverse: Float32Array,
    placements: Float32Array,
) -> Float32Array:
    """Return placements that align `second` better with `first`: one Gauss-Newton step."""
    sampled, inside = _sample(second, placements)
    residual = (_normalize(sampled, inside) - _normalize(first, inside)) * inside
    change = (inverse @ (jacobian @ residual.reshape(len(residual), -1, 1)))[..., 0]
    change = np.clip(change, -0.1, 0.1)
    stretch, shift = 1 + change[:, 0::2], change[:, 1::2]
    scale = placements[:, 0::2] / stretch
    offset = placements[:, 1::2] - placements[:, 0::2] / stretch * shift
    result = np.stack([scale[:, 0], offset[:, 0], scale[:, 1], offset[:, 1]], axis=1)
    return np.clip(result, *(np.array([1, 0, 1, 0], np.float32) + sign * _MAX_OFFSET for sign in (-1, 1)))


def _sample(images: Float32Array, placements: Float32Array) -> tuple[Float32Array, Float32Array]:
    """Sample images at their placements; tell which sampled pixels are inside the image."""
    side = images.shape[1]
    rows, inside_rows = _interpolation_weights(placements[:, :2], side)
    columns, inside_columns = _interpolation_weights(placements[:, 2:], side)
    sampled = (rows @ images @ columns.swapaxes(1, 2)).astype(np.float32)
    return sampled, (inside_rows[:, :, None] * inside_columns[:, None]).astype(np.float32)


def _interpolation_weights(placements: Float32Array, side: int) -> tuple[Float32Array, NDArray[np.bool_]]:
    """Return the linear interpolation of one axis as a matrix (n, side, side), and what is inside."""
    at = placements[:, :1] * _build_grid(side) + placements[:, 1:]
    pixels = np.clip((at + 1) / 2 * side - 0.5, 0, side - 1)
    distance = np.abs(pixels[:, :, None] - np.arange(side, dtype=np.float32))
    return np.maximum(0, 1 - distance).astype(np.float32), np.abs(at) < 1


def _correlate(first: Float32Array, second: Float32Array, placements: Float32Array) -> NDArray[np.float32]:
    """Return the correlation of details (n,) with `second` at its placements."""
    sampled, inside = _sample(second, placements)
    one, other = (_normalize(_subtract_shading(images, inside), inside) for images in (first, sampled))
    correlation: Float32Array = (one * other).sum(axis=(1, 2)) / np.maximum(inside.sum(axis=(1, 2)), 1)
    return correlation


def _subtract_shading(images: Float32Array, inside: Float32Array) -> Float32Array:
    """Subtract the shading, which is the mean of the surrounding pixels that are inside."""
    side = images.shape[1]
    pixels = np.arange(side)
    window = (np.abs(pixels[:, None] - pixels) <= _SHADING_PIXELS // 2).astype(np.float32)
    shading = (window @ (images * inside) @ window) / np.maximum(window @ inside @ window, 1)
    details: Float32Array = images - shading
    return details


def _normalize(images: Float32Array, inside: Float32Array) -> Float32Array:
    """Scale the pixels inside to mean 0 and variance 1; set those outside to 0."""
    count = np.maximum(inside.sum(axis=(1, 2), keepdims=True), 1)
    centered = (images - (images * inside).sum(axis=(1, 2), keepdims=True) / count) * inside
    deviation = np.sqrt((centered**2).sum(axis=(1, 2), keepdims=True) / count)
    normalized: Float32Array = centered / np.maximum(deviation, 1e-3)
    return normalized
