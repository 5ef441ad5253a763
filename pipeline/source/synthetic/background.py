"""What lies behind and between the objects, and has no label: the ground, lines, dust."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.random import Generator

from pipeline.core.arrays import Float32Array
from pipeline.source.synthetic import palette as colours
from pipeline.source.synthetic import textures
from pipeline.source.synthetic.palette import Palette


def ground(rng: Generator, palette: Palette, pixels: int) -> Float32Array:
    """Return a textured background, calm in a third of the pictures and wild in a few."""
    image = np.broadcast_to(palette.ground, (pixels, pixels, 3)).copy()
    for _ in range(int(rng.integers(1, 4))):
        strength = rng.choice([2.0, 5.0, 12.0, 28.0], p=[0.3, 0.3, 0.25, 0.15])
        tint = rng.normal(1, 0.35, 3).astype(np.float32) * np.float32(strength)
        image += textures.surface(rng, pixels, pixels)[..., None] * tint
    if rng.random() < 0.2:
        _split(rng, image, palette)
    return image


def _split(rng: Generator, image: Float32Array, palette: Palette) -> None:
    """Give a part of the ground, behind a soft or crisp border, another tone."""
    pixels = image.shape[0]
    field = textures.ramp(rng, pixels, pixels) + np.float32(0.4) * textures.clouds(rng, pixels, pixels)
    part = np.clip(field * np.float32(rng.choice([3.0, 40.0])) + np.float32(rng.uniform(-1, 1)), 0, 1)
    other = colours.pick(rng, palette)
    image += (other - image) * (part * np.float32(rng.uniform(0.2, 0.7)))[..., None]


def litter(rng: Generator, image: Float32Array, palette: Palette) -> None:
    """Draw distractors in place: thin lines, arcs, and specks too small to be objects."""
    if rng.random() < 0.3:
        _lines(rng, image, palette)
    if rng.random() < 0.3:
        _specks(rng, image, palette)


def _lines(rng: Generator, image: Float32Array, palette: Palette) -> None:
    pixels = image.shape[0]
    for _ in range(int(rng.integers(1, 7))):
        points = np.cumsum(rng.normal(0, pixels / 5, (4, 2)), 0) + rng.uniform(0, pixels, 2)
        colour = [float(value) for value in colours.pick(rng, palette)]
        width = 1 if rng.random() < 0.75 else 2
        cv2.polylines(image, [np.rint(points).astype(np.int32)], False, colour, width)


def _specks(rng: Generator, image: Float32Array, palette: Palette) -> None:
    count, pixels = int(rng.integers(5, 80)), image.shape[0]
    rows, columns = rng.integers(0, pixels - 1, (2, count))
    colour = colours.pick(rng, palette)
    for row, column in ((0, 0), (0, 1), (1, 0)):
        image[rows + row, columns + column] = colour
