"""Sample the colors of one scene: background, objects, and the contrast between them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.random import Generator

from pipeline.core.arrays import Float32Array
from pipeline.source.synthetic.picture import to_float32


class Palette(NamedTuple):
    """The colors of one scene.

    Attributes:
        ground: Blue, green, red of the background, 0 to 255.
        accents: Colors of the objects, n x 3, 0 to 255.
        jitter: Standard deviation of an object's color from its accent, in gray levels.
    """

    ground: Float32Array
    accents: Float32Array
    jitter: float


def _sample_vivid(rng: Generator) -> Palette:
    """Sample any colors, more or less desaturated."""
    colors, wash = _sample_uniform(rng, (9, 3), 0, 255), np.float32(rng.uniform(0, 0.7))
    colors += (colors.mean(1, keepdims=True) - colors) * wash
    return Palette(np.clip(colors[0], 15, 240), colors[1:], 15)


def _sample_tinted(rng: Generator) -> Palette:
    """Sample colors near one line in color space, as under a colored lamp or in a stained slide."""
    ground, axis = _sample_uniform(rng, (3,), 40, 225), rng.normal(0, 1, 3)
    axis = axis / np.linalg.norm(axis)
    steps = _sample_offsets(rng, 5, rng.uniform(25, 110))
    return Palette(ground, (ground + steps * axis).astype(np.float32), 6)


def _sample_gray(rng: Generator) -> Palette:
    """Sample grays, sometimes close to each other as under a microscope."""
    ground, tint = rng.uniform(30, 225), rng.normal(0, 8, 3)
    grays = ground + _sample_offsets(rng, 5, rng.uniform(22, 120))
    return Palette((ground + tint).astype(np.float32), (np.repeat(grays, 3, 1) + tint).astype(np.float32), 3)


def _sample_uniform(rng: Generator, shape: tuple[int, ...], low: float, high: float) -> Float32Array:
    return rng.uniform(low, high, shape).astype(np.float32)


def _sample_offsets(rng: Generator, count: int, reach: float) -> Float32Array:
    """Sample signed distances, none near 0, so that every object differs from the background."""
    signs = np.where(rng.random((count, 1)) < rng.choice([0.15, 0.5, 0.85]), -1, 1)
    return (signs * rng.uniform(0.55, 1.0, (count, 1)) * reach).astype(np.float32)


def sample_palette(rng: Generator) -> Palette:
    """Sample the palette of one scene, from nearly monochrome to vivid."""
    kinds = (_sample_vivid, _sample_vivid, _sample_tinted, _sample_tinted, _sample_gray)
    palette = kinds[int(rng.integers(len(kinds)))](rng)
    few = int(rng.integers(1, 3)) if rng.random() < 0.4 else len(palette.accents)
    return palette._replace(accents=np.clip(palette.accents[:few], 0, 255))


def sample_object_color(rng: Generator, palette: Palette, near: float = 24.0) -> Float32Array:
    """Sample an object's color; one within `near` gray levels of the background is moved away from it."""
    color = palette.accents[int(rng.integers(len(palette.accents)))]
    color = color + rng.normal(0, palette.jitter, 3).astype(np.float32)
    if np.abs(color - palette.ground).max() < near:
        color = palette.ground + np.float32(3 * near if palette.ground.mean() < 128 else -3 * near)
    return to_float32(np.clip(color, 0, 255))


def ensure_contrast(first: Float32Array, second: Float32Array, near: float = 45.0) -> Float32Array:
    """Return the second color; one within `near` gray levels of the first is moved away from it."""
    if np.abs(first - second).max() >= near:
        return second
    away = np.float32(1.5 * near if first.mean() < 128 else -1.5 * near)
    return to_float32(np.clip(first + away, 0, 255))
