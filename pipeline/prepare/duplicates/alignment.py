"""Are two thumbnails the same picture? One is laid over the other as exactly as can be, then compared.

Laid over: shift and stretch along each axis by Gauss-Newton steps (Baker and Matthews, Lucas-Kanade 20 Years
On, IJCV 2004, inverse compositional), coarse to fine; brightness and contrast are taken out. Compared: by the
correlation of what is left when smooth shading is taken away. Pictures of one kind share their shading; only
copies share their detail.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from pipeline.core.arrays import Float32Array

SAME: Final = 0.82
"""Correlation of details from which two images are copies of one another."""

_STEPS: Final = {4: 8, 2: 4, 1: 3}
"""Gauss-Newton steps at a quarter of the thumbnail's resolution, at half, and at the whole."""
_MOST: Final = 0.3
"""How far a side may lie off, in half widths: 15% of the width."""
_SMOOTH: Final = 5
"""Pixels over which a thumbnail is averaged to find its shading."""


def likeness(first: Float32Array, second: Float32Array) -> NDArray[np.float32]:
    """Return the correlation of details of pairs of images, as they are or laid over.

    Args:
        first: (n, s, s) gray levels, s a multiple of 4, turned as `second` is.
        second: (n, s, s) gray levels.

    Returns:
        (n,) from -1 to 1; 0 where an image shows no detail.
    """
    start = places = np.tile(np.array([1, 0, 1, 0], np.float32), (len(first), 1))
    for shrink, steps in _STEPS.items():
        small, other = _shrunk(first, shrink), _shrunk(second, shrink)
        slope, solve = _slopes(small)
        for _ in range(steps):
            places = _step(small, other, slope, solve, places)
    found: Float32Array = np.maximum(_compare(first, second, start), _compare(first, second, places))
    return found


def _shrunk(images: Float32Array, by: int) -> Float32Array:
    count, side, _ = images.shape
    found: Float32Array = images.reshape(count, side // by, by, side // by, by).mean(axis=(2, 4))
    return found


def _grid(side: int) -> NDArray[np.float32]:
    """Return where pixel centres lie, -1 and 1 being the image's edges."""
    return ((np.arange(side, dtype=np.float32) + 0.5) / side * 2 - 1).astype(np.float32)


def _slopes(images: Float32Array) -> tuple[Float32Array, Float32Array]:
    """Return how pixels change with stretch and shift (n, 4, s*s), and the inverse of its normal matrix."""
    count, side, _ = images.shape
    plain = _standard(images, np.ones_like(images))
    down, along = np.gradient(plain, axis=(1, 2))
    grid = _grid(side)
    slope = np.stack([down * grid[:, None], down, along * grid, along], axis=1) * (side / 2)
    slope = slope.reshape(count, 4, -1).astype(np.float32)
    normal = slope @ slope.swapaxes(1, 2)
    ridge = 1e-2 * np.trace(normal, axis1=1, axis2=2)[:, None, None] / 4 + 1e-6
    return slope, np.linalg.inv(normal + ridge * np.eye(4, dtype=np.float32)).astype(np.float32)


def _step(
    first: Float32Array, second: Float32Array, slope: Float32Array, solve: Float32Array, places: Float32Array
) -> Float32Array:
    """Move `second` a little, such that it lies better on `first`."""
    moved, inside = _moved(second, places)
    left = (_standard(moved, inside) - _standard(first, inside)) * inside
    change = (solve @ (slope @ left.reshape(len(left), -1, 1)))[..., 0]
    change = np.clip(change, -0.1, 0.1)
    stretch, shift = 1 + change[:, 0::2], change[:, 1::2]
    scale, offset = places[:, 0::2] / stretch, places[:, 1::2] - places[:, 0::2] / stretch * shift
    result = np.stack([scale[:, 0], offset[:, 0], scale[:, 1], offset[:, 1]], axis=1)
    return np.clip(result, *(np.array([1, 0, 1, 0], np.float32) + side * _MOST for side in (-1, 1)))


def _moved(images: Float32Array, places: Float32Array) -> tuple[Float32Array, Float32Array]:
    """Sample images at stretched and shifted places; tell which pixels lie inside."""
    side = images.shape[1]
    rows, down = _weights(places[:, :2], side)
    columns, along = _weights(places[:, 2:], side)
    moved = (rows @ images @ columns.swapaxes(1, 2)).astype(np.float32)
    return moved, (down[:, :, None] * along[:, None]).astype(np.float32)


def _weights(places: Float32Array, side: int) -> tuple[Float32Array, NDArray[np.bool_]]:
    """Return the linear interpolation of one axis as a matrix (n, side, side), and what lies inside."""
    at = places[:, :1] * _grid(side) + places[:, 1:]
    pixels = np.clip((at + 1) / 2 * side - 0.5, 0, side - 1)
    distance = np.abs(pixels[:, :, None] - np.arange(side, dtype=np.float32))
    return np.maximum(0, 1 - distance).astype(np.float32), np.abs(at) < 1


def _compare(first: Float32Array, second: Float32Array, places: Float32Array) -> NDArray[np.float32]:
    moved, inside = _moved(second, places)
    one, other = (_standard(_detail(images, inside), inside) for images in (first, moved))
    found: Float32Array = (one * other).sum(axis=(1, 2)) / np.maximum(inside.sum(axis=(1, 2)), 1)
    return found


def _detail(images: Float32Array, inside: Float32Array) -> Float32Array:
    """Take away the shading: the mean of the pixels around, of those inside."""
    side = images.shape[1]
    near = np.arange(side)
    box = (np.abs(near[:, None] - near) <= _SMOOTH // 2).astype(np.float32)
    shading = (box @ (images * inside) @ box) / np.maximum(box @ inside @ box, 1)
    found: Float32Array = images - shading
    return found


def _standard(images: Float32Array, inside: Float32Array) -> Float32Array:
    """Bring the pixels inside to mean 0 and variance 1, those outside to 0."""
    pixels = np.maximum(inside.sum(axis=(1, 2), keepdims=True), 1)
    centred = (images - (images * inside).sum(axis=(1, 2), keepdims=True) / pixels) * inside
    spread = np.sqrt((centred**2).sum(axis=(1, 2), keepdims=True) / pixels)
    found: Float32Array = centred / np.maximum(spread, 1e-3)
    return found
