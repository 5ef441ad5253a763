"""Perceptual hash of a thumbnail: its low cosine frequencies as numbers, and their signs as 64 bits.

The hash is pHash's (Zauner, Implementation and Benchmarking of Perceptual Image Hash Functions, 2010). A flip
or transpose of the image changes only signs and order of the frequencies, so that all eight orientations of
an image can be compared without another transform.
"""

from __future__ import annotations

from itertools import product
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.core.arrays import Float32Array, IntArray

THUMBNAIL_SIDE: Final = 64
"""Width and height of a thumbnail in pixels, for images of any proportions."""

MAX_BLANK_DEVIATION: Final = 2.0
"""Maximum standard deviation of gray levels of a thumbnail that shows nothing recognizable."""

_FREQUENCIES: Final = 10
"""Cosine frequencies per axis, from 0."""
_HASH_BITS: Final = 64

HashArray = NDArray[np.uint64]


class Orientation(NamedTuple):
    """One of the eight ways to rotate or mirror a square: transposed first, then mirrored."""

    transposed: bool
    flipud: bool
    fliplr: bool


ORIENTATIONS: Final = tuple(Orientation(*each) for each in product((False, True), repeat=3))


def orient_images(images: NDArray[np.float32], orientation: Orientation) -> NDArray[np.float32]:
    """Rotate or mirror square images (n, s, s)."""
    transposed = images.swapaxes(1, 2) if orientation.transposed else images
    mirrored: NDArray[np.float32] = transposed[
        :, :: -1 if orientation.flipud else 1, :: -1 if orientation.fliplr else 1
    ]
    return mirrored


def compute_frequency_vectors(thumbnails: NDArray[np.uint8]) -> Float32Array:
    """Return the low frequencies of each thumbnail as a vector of length 1; NaN for a blank thumbnail.

    The square root of each coefficient is used, so that a few large ones do not outweigh all others.
    """
    spectrum = _COSINES @ thumbnails.astype(np.float32) @ _COSINES.T
    weighted = spectrum[:, _ROW, _COLUMN] * np.sqrt(np.hypot(_ROW, _COLUMN)).astype(np.float32)
    vectors = np.sign(weighted) * np.sqrt(np.abs(weighted))
    is_blank = thumbnails.std(axis=(1, 2)) <= MAX_BLANK_DEVIATION
    lengths = np.where(is_blank, np.nan, np.linalg.norm(vectors, axis=1))
    normalized: Float32Array = (vectors / lengths[:, None]).astype(np.float32)
    return normalized


def orient_vectors(vectors: Float32Array) -> NDArray[np.float32]:
    """Return the vectors (8, n, d) of images in each of the `ORIENTATIONS`.

    Args:
        vectors: (n, d) from `compute_frequency_vectors`.
    """
    return np.stack([vectors[:, order] * signs for order, signs in _ORIENTED])


def compute_hashes(vectors: Float32Array) -> HashArray:
    """Return the signs of the 64 lowest frequencies (n,), a bit each."""
    packed = np.ascontiguousarray(np.packbits(vectors[:, _LOWEST] > 0, axis=1))
    return packed.view(np.uint64)[:, 0]


def _build_cosines() -> NDArray[np.float32]:
    """Return the matrix of the discrete cosine transform (frequencies, pixels)."""
    frequency, pixel = np.arange(_FREQUENCIES)[:, None], np.arange(THUMBNAIL_SIDE)[None] + 0.5
    return np.cos(np.pi * frequency * pixel / THUMBNAIL_SIDE).astype(np.float32)


def _build_orders() -> list[tuple[IntArray, NDArray[np.float32]]]:
    """Return for each orientation how it reorders the coefficients and changes their signs."""
    places = {place: number for number, place in enumerate(zip(_ROW.tolist(), _COLUMN.tolist(), strict=True))}
    swapped = np.array([places[column, row] for row, column in places])
    return [
        (
            swapped if orientation.transposed else np.arange(len(places)),
            ((-1.0) ** (_ROW * orientation.flipud + _COLUMN * orientation.fliplr)).astype(np.float32),
        )
        for orientation in ORIENTATIONS
    ]


_COSINES: Final = _build_cosines()
_GRID: Final = np.hypot(*np.mgrid[:_FREQUENCIES, :_FREQUENCIES])
_ROW, _COLUMN = np.nonzero((_GRID > 0) & (_GRID < _FREQUENCIES - 0.5))
VECTOR_LENGTH: Final = len(_ROW)
"""Length of the vectors of `compute_frequency_vectors`."""
_LOWEST: Final = np.sort(np.argsort(np.hypot(_ROW, _COLUMN), kind="stable")[:_HASH_BITS])
_ORIENTED: Final = _build_orders()
