"""Draw what has no label: the background, drawn or photographed, and distractors such as lines and specks.

Drawn textures lack what real surfaces and scenes have. A few photographs, cut, turned and stretched at all
sizes, have most of it (Asano and Saeed, Extrapolating from a Single Image to a Thousand Classes, 2023).
"""

from __future__ import annotations

import functools
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.random import Generator

from pipeline.core.arrays import Float32Array, ImageArray
from pipeline.core.errors import UserError
from pipeline.source.synthetic.palette import Palette, sample_object_color
from pipeline.source.synthetic.textures import draw_cloud_texture, draw_gradient_texture, sample_texture

_FILES: Final = {
    "ultralytics": ("assets/bus.jpg",),
    "sklearn": ("datasets/images/china.jpg", "datasets/images/flower.jpg"),
}
"""Photographs in packages of requirements.lock."""
_MIN_SIDE: Final = 72.0
_MAX_SHARE: Final = 0.98
_MAX_TURN: Final = 35.0
_MAX_LOG_ASPECT: Final = 0.3


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


def crop_photograph(rng: Generator, pixels: int) -> Float32Array:
    """Cut a random square out of a photograph, half of the time turned, at a random size and aspect ratio.

    Args:
        rng: Random numbers.
        pixels: Side of the result.

    Returns:
        Blue, green, red; pixels x pixels x 3, 0 to 255.

    Raises:
        UserError: An installed package has no such photograph.
    """
    photographs = _read_photographs()
    photograph = photographs[rng.integers(len(photographs))]
    height, width = photograph.shape[:2]
    side = float(np.exp(rng.uniform(np.log(_MIN_SIDE), np.log(_MAX_SHARE * min(height, width)))))
    turn = rng.uniform(-_MAX_TURN, _MAX_TURN) if rng.random() < 0.5 else 0.0
    aspect = float(np.exp(rng.uniform(-_MAX_LOG_ASPECT, _MAX_LOG_ASPECT)))
    center = (rng.uniform(side / 2, width - side / 2), rng.uniform(side / 2, height - side / 2))
    turned = np.vstack([cv2.getRotationMatrix2D(center, turn, 1.0), [0, 0, 1]])
    across, down = pixels / side * aspect, pixels / side
    shrunk = shrink_photograph(photograph, min(across, down))
    share_x, share_y = shrunk.shape[1] / width, shrunk.shape[0] / height
    scaled = [[across, 0, pixels / 2 - across * center[0]], [0, down, pixels / 2 - down * center[1]]]
    matrix = np.array(scaled) @ turned @ np.diag([1 / share_x, 1 / share_y, 1])
    found = cv2.warpAffine(
        shrunk, matrix, (pixels, pixels), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101
    )
    return found.astype(np.float32)


def shrink_photograph(photograph: ImageArray, share: float) -> ImageArray:
    """Shrink a photograph to a share of its sides, by the mean of pixels; a share above 1 leaves it as it is.

    OpenCV's warps sample single pixels whatever interpolation they are given, so fine patterns would alias.
    """
    if share >= 1:
        return photograph
    return np.asarray(
        cv2.resize(photograph, None, fx=share, fy=share, interpolation=cv2.INTER_AREA), np.uint8
    )


@functools.cache
def _read_photographs() -> tuple[ImageArray, ...]:
    return tuple(_read(package, name) for package, names in _FILES.items() for name in names)


def _read(package: str, name: str) -> ImageArray:
    spec = find_spec(package)
    path = Path(spec.origin).parent / name if spec and spec.origin else Path(package) / name
    found = cv2.imread(str(path)) if path.is_file() else None
    if found is None:
        raise UserError(f"data=shapes needs the photograph {path}: install requirements.lock again")
    return np.asarray(found, np.uint8)
