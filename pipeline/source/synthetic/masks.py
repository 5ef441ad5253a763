"""Rasterize an outline: from unit coordinates to pixel masks."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from pipeline.core.arrays import Float32Array, ImageArray
from pipeline.source.synthetic.outlines import ShapeOutline
from pipeline.source.synthetic.picture import to_float32
from pipeline.source.synthetic.placement import Placement

_FRACTION_BITS = 4  # fractional bits of cv2 coordinates


class Stencil(NamedTuple):
    """A rasterized outline: its mask, the masks of its inner parts, and their position in the image."""

    mask: ImageArray
    inner: tuple[ImageArray, ...]
    left: int
    upper: int


def _transform(curve: Float32Array, turn: Float32Array, shift: Float32Array) -> NDArray[np.int32]:
    return np.asarray(np.rint((curve @ turn + shift) * 2**_FRACTION_BITS), np.int32)


def _fill_curves(
    shape: tuple[int, int], curves: list[NDArray[np.int32]], mask: ImageArray | None = None
) -> ImageArray:
    mask = np.zeros(shape, np.uint8) if mask is None else mask
    for curve in curves:
        cv2.fillPoly(mask, [curve], 255, cv2.LINE_AA, _FRACTION_BITS)
    return mask


def rasterize_stencil(rng: Generator, outline: ShapeOutline, place: Placement, pad: int) -> Stencil:
    """Rotate, squeeze and scale an outline, move it to its place and rasterize it.

    Args:
        rng: Random generator for the angle and the squeeze.
        outline: The outline in unit coordinates.
        place: Center and radius in pixels.
        pad: Empty pixels on each side, for blur and shadow.
    """
    angle, squeeze = rng.random() * 2 * np.pi, rng.uniform(0.85, 1.0)
    cos, sin = np.cos(angle), np.sin(angle)
    turn = (np.array([[cos, sin], [-sin * squeeze, cos * squeeze]]) * place.radius).astype(np.float32)
    reach = int(np.ceil(place.radius * (1 + outline.width))) + pad
    left, upper = int(place.x) - reach, int(place.y) - reach
    shift = to_float32([place.x - left, place.y - upper])
    shape = (2 * reach + 1, 2 * reach + 1)
    mask = _fill_curves(shape, [_transform(curve, turn, shift) for curve in outline.solids])
    for curve in outline.holes:
        cv2.fillPoly(mask, [_transform(curve, turn, shift)], 0, cv2.LINE_AA, _FRACTION_BITS)
    if outline.strokes:
        strokes = [_transform(curve, turn, shift) for curve in outline.strokes]
        width = max(round(outline.width * place.radius), 1)
        cv2.polylines(mask, strokes, False, 255, width, cv2.LINE_AA, _FRACTION_BITS)
    inner = tuple(_fill_curves(shape, [_transform(curve, turn, shift)]) for curve in outline.inner)
    return Stencil(mask, inner, left, upper)
