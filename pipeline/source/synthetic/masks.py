"""Cut an outline to its place: from unit coordinates to masks of pixels."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from pipeline.core.arrays import Float32Array, ImageArray
from pipeline.source.synthetic.outlines import ShapeOutline
from pipeline.source.synthetic.picture import floats
from pipeline.source.synthetic.placement import Placement

_FINE = 4  # cv2 draws with this many binary digits after the point


class Stencil(NamedTuple):
    """An outline in pixels: its mask, the masks of its inner parts, and where they lie."""

    mask: ImageArray
    inner: tuple[ImageArray, ...]
    left: int
    upper: int


def _turned(curve: Float32Array, turn: Float32Array, shift: Float32Array) -> NDArray[np.int32]:
    return np.asarray(np.rint((curve @ turn + shift) * 2**_FINE), np.int32)


def _fill(
    shape: tuple[int, int], curves: list[NDArray[np.int32]], mask: ImageArray | None = None
) -> ImageArray:
    mask = np.zeros(shape, np.uint8) if mask is None else mask
    for curve in curves:
        cv2.fillPoly(mask, [curve], 255, cv2.LINE_AA, _FINE)
    return mask


def cut(rng: Generator, outline: ShapeOutline, place: Placement, pad: int) -> Stencil:
    """Turn, squeeze and scale an outline to its place and rasterise it.

    Args:
        rng: Gives the angle and the squeeze.
        outline: What to cut, in unit coordinates.
        place: Where to, in pixels.
        pad: Free pixels on each side, for blur and shadow.
    """
    angle, squeeze = rng.random() * 2 * np.pi, rng.uniform(0.85, 1.0)
    cos, sin = np.cos(angle), np.sin(angle)
    turn = (np.array([[cos, sin], [-sin * squeeze, cos * squeeze]]) * place.radius).astype(np.float32)
    reach = int(np.ceil(place.radius * (1 + outline.width))) + pad
    left, upper = int(place.x) - reach, int(place.y) - reach
    shift = floats([place.x - left, place.y - upper])
    shape = (2 * reach + 1, 2 * reach + 1)
    mask = _fill(shape, [_turned(curve, turn, shift) for curve in outline.solids])
    for curve in outline.holes:
        cv2.fillPoly(mask, [_turned(curve, turn, shift)], 0, cv2.LINE_AA, _FINE)
    if outline.strokes:
        strokes = [_turned(curve, turn, shift) for curve in outline.strokes]
        width = max(round(outline.width * place.radius), 1)
        cv2.polylines(mask, strokes, False, 255, width, cv2.LINE_AA, _FINE)
    inner = tuple(_fill(shape, [_turned(curve, turn, shift)]) for curve in outline.inner)
    return Stencil(mask, inner, left, upper)
