"""Draw what has no label: the background, and distractors such as lines and specks."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.random import Generator

from pipeline.core.arrays import Float32Array
from pipeline.source.synthetic.palette import Palette, sample_object_color
from pipeline.source.synthetic.textures import draw_cloud_texture, draw_gradient_texture, sample_texture


def draw_background(rng: Generator, palette: Palette, pixels: int) -> Float32Array:
    """Draw a textured background, with little contrast in a third of the images and much in a few."""
    image = np.broadcast_to(palette.ground, (pixels, pixels, 3)).copy()
    for _ in range(int(rng.integers(1, 4))):
        strength = rng.choice([2.0, 5.0, 12.0, 28.0], p=[0.3, 0.3, 0.25, 0.15])
        tint = rng.normal(1, 0.35, 3).astype(np.float32) * np.float32(strength)
        image += sample_texture(rng, pixels, pixels)[..., None] * tint
    if rng.random() < 0.2:
        _tint_region(rng, image, palette)
    return image


def _tint_region(rng: Generator, image: Float32Array, palette: Palette) -> None:
    """Give a part of the background another color, with a soft or sharp border."""
    pixels = image.shape[0]
    field = draw_gradient_texture(rng, pixels, pixels)
    field = field + np.float32(0.4) * draw_cloud_texture(rng, pixels, pixels)
    share = np.clip(field * np.float32(rng.choice([3.0, 40.0])) + np.float32(rng.uniform(-1, 1)), 0, 1)
    other = sample_object_color(rng, palette)
    image += (other - image) * (share * np.float32(rng.uniform(0.2, 0.7)))[..., None]


def draw_distractors(rng: Generator, image: Float32Array, palette: Palette) -> None:
    """Draw distractors into the image: thin lines, and specks that are too small to be objects."""
    if rng.random() < 0.3:
        _draw_lines(rng, image, palette)
    if rng.random() < 0.3:
        _draw_specks(rng, image, palette)


def _draw_lines(rng: Generator, image: Float32Array, palette: Palette) -> None:
    pixels = image.shape[0]
    for _ in range(int(rng.integers(1, 7))):
        points = np.cumsum(rng.normal(0, pixels / 5, (4, 2)), 0) + rng.uniform(0, pixels, 2)
        color = [float(value) for value in sample_object_color(rng, palette)]
        width = 1 if rng.random() < 0.75 else 2
        cv2.polylines(image, [np.rint(points).astype(np.int32)], False, color, width)


def _draw_specks(rng: Generator, image: Float32Array, palette: Palette) -> None:
    count, pixels = int(rng.integers(5, 80)), image.shape[0]
    rows, columns = rng.integers(0, pixels - 1, (2, count))
    color = sample_object_color(rng, palette)
    for row, column in ((0, 0), (0, 1), (1, 0)):
        image[rows + row, columns + column] = color
