"""Colours of one scene: how far apart the ground and the objects are."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.random import Generator

from pipeline.core.arrays import Float32Array
from pipeline.source.synthetic.picture import floats


class Palette(NamedTuple):
    """The ground's colour and how to leave it.

    Attributes:
        ground: Blue, green, red of the background, 0 to 255.
        accents: Colours of the objects, n x 3, 0 to 255.
        jitter: How much one object strays from its accent, in grey levels.
    """

    ground: Float32Array
    accents: Float32Array
    jitter: float


def _vivid(rng: Generator) -> Palette:
    """Take any colours, more or less washed out."""
    colours, wash = _uniform(rng, (9, 3), 0, 255), np.float32(rng.uniform(0, 0.7))
    colours += (colours.mean(1, keepdims=True) - colours) * wash
    return Palette(np.clip(colours[0], 15, 240), colours[1:], 15)


def _tinted(rng: Generator) -> Palette:
    """Take all colours near one line in colour space, as a stain or a lamp does."""
    ground, axis = _uniform(rng, (3,), 40, 225), rng.normal(0, 1, 3)
    axis = axis / np.linalg.norm(axis)
    steps = _steps(rng, 5, rng.uniform(25, 110))
    return Palette(ground, (ground + steps * axis).astype(np.float32), 6)


def _grey(rng: Generator) -> Palette:
    """Take greys, sometimes close to each other as under a microscope."""
    ground, tint = rng.uniform(30, 225), rng.normal(0, 8, 3)
    greys = ground + _steps(rng, 5, rng.uniform(22, 120))
    return Palette((ground + tint).astype(np.float32), (np.repeat(greys, 3, 1) + tint).astype(np.float32), 3)


def _uniform(rng: Generator, shape: tuple[int, ...], low: float, high: float) -> Float32Array:
    return rng.uniform(low, high, shape).astype(np.float32)


def _steps(rng: Generator, count: int, reach: float) -> Float32Array:
    """Return signed distances, none near 0: every object can be told from the ground."""
    signs = np.where(rng.random((count, 1)) < rng.choice([0.15, 0.5, 0.85]), -1, 1)
    return (signs * rng.uniform(0.55, 1.0, (count, 1)) * reach).astype(np.float32)


def mix(rng: Generator) -> Palette:
    """Return the palette of one scene, from near-monochrome to vivid."""
    kinds = (_vivid, _vivid, _tinted, _tinted, _grey)
    palette = kinds[int(rng.integers(len(kinds)))](rng)
    few = int(rng.integers(1, 3)) if rng.random() < 0.4 else len(palette.accents)
    return palette._replace(accents=np.clip(palette.accents[:few], 0, 255))


def pick(rng: Generator, palette: Palette, near: float = 24.0) -> Float32Array:
    """Return an object's colour, pushed off the ground's when nearer than `near` grey levels."""
    colour = palette.accents[int(rng.integers(len(palette.accents)))]
    colour = colour + rng.normal(0, palette.jitter, 3).astype(np.float32)
    if np.abs(colour - palette.ground).max() < near:
        colour = palette.ground + np.float32(3 * near if palette.ground.mean() < 128 else -3 * near)
    return floats(np.clip(colour, 0, 255))


def contrast(first: Float32Array, second: Float32Array, near: float = 45.0) -> Float32Array:
    """Return the second colour, pushed off the first when nearer than `near` grey levels."""
    if np.abs(first - second).max() >= near:
        return second
    away = np.float32(1.5 * near if first.mean() < 128 else -1.5 * near)
    return floats(np.clip(first + away, 0, 255))
