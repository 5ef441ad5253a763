"""Draw procedural textures: height x width arrays of about -1 to 1."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.random import Generator

from pipeline.core.arrays import Float32Array
from pipeline.source.synthetic.picture import to_float32

Texture = Callable[[Generator, int, int], Float32Array]


def _white_noise(rng: Generator, height: int, width: int) -> Float32Array:
    return rng.random((height, width), np.float32) * 2 - 1


def _resize(field: Float32Array, height: int, width: int, how: int = cv2.INTER_CUBIC) -> Float32Array:
    return np.asarray(cv2.resize(field, (width, height), interpolation=how), np.float32)


def _sample_phase(rng: Generator, height: int, width: int, warp: float = 0.0) -> Float32Array:
    """Return a phase that grows along one direction, 2 pi per period, distorted by `warp` radians."""
    angle, period = rng.random() * 2 * np.pi, rng.uniform(4, 28)
    x = np.arange(width, dtype=np.float32)[None] * np.float32(np.cos(angle) * 2 * np.pi / period)
    y = np.arange(height, dtype=np.float32)[:, None] * np.float32(np.sin(angle) * 2 * np.pi / period)
    phase = x + y
    return phase + np.float32(warp) * draw_cloud_texture(rng, height, width) if warp else phase


def draw_cloud_texture(rng: Generator, height: int, width: int) -> Float32Array:
    """Draw clouds: a sum of octaves of smooth noise; slower fading octaves look rougher."""
    field, weight, total = np.zeros((height, width), np.float32), 1.0, 0.0
    fade, cells = rng.uniform(0.35, 0.85), float(rng.integers(2, 6))
    for _ in range(4):
        rows, columns = (min(int(cells) + 2, side) for side in (height, width))
        field += np.float32(weight) * _resize(_white_noise(rng, rows, columns), height, width)
        weight, total, cells = weight * fade, total + weight, cells * 2.2
    return field * np.float32(1.6 / total)


def draw_gradient_texture(rng: Generator, height: int, width: int) -> Float32Array:
    """Draw a linear gradient in a random direction."""
    angle = rng.random() * 2 * np.pi
    x = np.linspace(-1, 1, width, dtype=np.float32)[None] * np.float32(np.cos(angle))
    y = np.linspace(-1, 1, height, dtype=np.float32)[:, None] * np.float32(np.sin(angle))
    return (x + y) * np.float32(0.8)


def draw_stripe_texture(rng: Generator, height: int, width: int) -> Float32Array:
    """Draw parallel stripes, soft or hard, straight or bent."""
    warp = rng.uniform(0.5, 3) if rng.random() < 0.4 else 0.0
    bands = np.sin(_sample_phase(rng, height, width, warp))
    return to_float32(np.clip(bands * np.float32(rng.uniform(1, 6)), -1, 1))


def draw_checker_texture(rng: Generator, height: int, width: int) -> Float32Array:
    """Draw a checkerboard of two tones."""
    size, shift = rng.uniform(3, 12), rng.random() * 12
    rows = ((np.arange(height) + shift) // size).astype(np.int64)[:, None]
    columns = ((np.arange(width) + shift) // size).astype(np.int64)[None]
    return to_float32(((rows + columns) & 1) * 2 - 1)


def draw_dot_texture(rng: Generator, height: int, width: int) -> Float32Array:
    """Draw a grid of round dots, light on dark or dark on light."""
    first, second = _sample_phase(rng, height, width), _sample_phase(rng, height, width)
    spots = np.cos(first) + np.cos(second) - np.float32(rng.uniform(0.2, 1.0))
    return to_float32(np.clip(spots * np.float32(3 if rng.random() < 0.5 else -3), -1, 1))


def draw_weave_texture(rng: Generator, height: int, width: int) -> Float32Array:
    """Draw crossing threads, as in cloth."""
    period = rng.uniform(3, 9)
    x = np.sin(np.arange(width, dtype=np.float32) * np.float32(2 * np.pi / period))[None]
    y = np.sin(np.arange(height, dtype=np.float32) * np.float32(2 * np.pi / period))[:, None]
    return to_float32(np.where(x * y > 0, x, y) + np.float32(0.3) * draw_noise_texture(rng, height, width))


def draw_speckle_texture(rng: Generator, height: int, width: int) -> Float32Array:
    """Draw small grains with hard edges."""
    size = rng.uniform(1.5, 5)
    rows, columns = (max(int(side / size), 2) for side in (height, width))
    field = _resize(_white_noise(rng, rows, columns), height, width, cv2.INTER_LINEAR)
    return to_float32(np.clip((field - np.float32(rng.uniform(0.1, 0.7))) * 6, -1, 1))


def draw_noise_texture(rng: Generator, height: int, width: int) -> Float32Array:
    """Draw fine noise with grains of one or two pixels."""
    size = 1 + int(rng.integers(2))
    rows, columns = (side // size + 1 for side in (height, width))
    return _resize(_white_noise(rng, rows, columns), height, width, cv2.INTER_LINEAR)


def draw_marble_texture(rng: Generator, height: int, width: int) -> Float32Array:
    """Draw veins as in marble: stripes that are strongly distorted by noise."""
    return to_float32(
        1 - 2 * np.abs(np.sin(_sample_phase(rng, height, width, rng.uniform(3, 7)) * np.float32(0.5)))
    )


def draw_pebble_texture(rng: Generator, height: int, width: int) -> Float32Array:
    """Draw cells: the distance to the nearest of some random points (Worley, SIGGRAPH 1996)."""
    points = np.full((height, width), 255, np.uint8)
    count = max(height * width // int(rng.integers(60, 600)), 2)
    points[rng.integers(height, size=count), rng.integers(width, size=count)] = 0
    field = np.asarray(cv2.distanceTransform(points, cv2.DIST_L2, 3), np.float32)
    return field * np.float32(2 / max(float(field.max()), 1.0)) - 1


def draw_two_tone_texture(rng: Generator, height: int, width: int) -> Float32Array:
    """Draw flat regions of two tones with sharp borders."""
    return to_float32(np.sign(draw_cloud_texture(rng, height, width) - np.float32(rng.uniform(-0.2, 0.2))))


TEXTURES: tuple[Texture, ...] = (
    draw_cloud_texture, draw_cloud_texture, draw_cloud_texture, draw_gradient_texture, draw_gradient_texture,
    draw_noise_texture, draw_stripe_texture, draw_checker_texture, draw_dot_texture, draw_weave_texture,
    draw_speckle_texture, draw_marble_texture, draw_pebble_texture, draw_two_tone_texture,
)  # fmt: skip


def sample_texture(rng: Generator, height: int, width: int) -> Float32Array:
    """Draw a texture of a random kind; smooth kinds are more frequent."""
    return TEXTURES[int(rng.integers(len(TEXTURES)))](rng, height, width)
