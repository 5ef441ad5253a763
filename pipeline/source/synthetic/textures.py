"""Procedural textures: height x width fields of about -1 to 1, from a generator and nothing else."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.random import Generator

from pipeline.core.arrays import Float32Array
from pipeline.source.synthetic.picture import floats

Texture = Callable[[Generator, int, int], Float32Array]


def _noise(rng: Generator, height: int, width: int) -> Float32Array:
    return rng.random((height, width), np.float32) * 2 - 1


def _resize(field: Float32Array, height: int, width: int, how: int = cv2.INTER_CUBIC) -> Float32Array:
    return np.asarray(cv2.resize(field, (width, height), interpolation=how), np.float32)


def _waves(rng: Generator, height: int, width: int, warp: float = 0.0) -> Float32Array:
    """Return a phase that grows along one direction, 2 pi per period, bent by `warp` radians."""
    angle, period = rng.random() * 2 * np.pi, rng.uniform(4, 28)
    x = np.arange(width, dtype=np.float32)[None] * np.float32(np.cos(angle) * 2 * np.pi / period)
    y = np.arange(height, dtype=np.float32)[:, None] * np.float32(np.sin(angle) * 2 * np.pi / period)
    phase = x + y
    return phase + np.float32(warp) * clouds(rng, height, width) if warp else phase


def clouds(rng: Generator, height: int, width: int) -> Float32Array:
    """Sum octaves of smooth noise; how fast they fade sets how rough it looks."""
    field, weight, total = np.zeros((height, width), np.float32), 1.0, 0.0
    fade, cells = rng.uniform(0.35, 0.85), float(rng.integers(2, 6))
    for _ in range(4):
        rows, columns = (min(int(cells) + 2, side) for side in (height, width))
        field += np.float32(weight) * _resize(_noise(rng, rows, columns), height, width)
        weight, total, cells = weight * fade, total + weight, cells * 2.2
    return field * np.float32(1.6 / total)


def ramp(rng: Generator, height: int, width: int) -> Float32Array:
    """Fall from light to dark along one direction."""
    angle = rng.random() * 2 * np.pi
    x = np.linspace(-1, 1, width, dtype=np.float32)[None] * np.float32(np.cos(angle))
    y = np.linspace(-1, 1, height, dtype=np.float32)[:, None] * np.float32(np.sin(angle))
    return (x + y) * np.float32(0.8)


def stripes(rng: Generator, height: int, width: int) -> Float32Array:
    """Draw parallel bands, soft or hard, straight or bent."""
    warp = rng.uniform(0.5, 3) if rng.random() < 0.4 else 0.0
    bands = np.sin(_waves(rng, height, width, warp))
    return floats(np.clip(bands * np.float32(rng.uniform(1, 6)), -1, 1))


def checker(rng: Generator, height: int, width: int) -> Float32Array:
    """Draw squares of two tones."""
    size, shift = rng.uniform(3, 12), rng.random() * 12
    rows = ((np.arange(height) + shift) // size).astype(np.int64)[:, None]
    columns = ((np.arange(width) + shift) // size).astype(np.int64)[None]
    return floats(((rows + columns) & 1) * 2 - 1)


def dots(rng: Generator, height: int, width: int) -> Float32Array:
    """Draw round dots on a lattice, light on dark or dark on light."""
    first, second = _waves(rng, height, width), _waves(rng, height, width)
    spots = np.cos(first) + np.cos(second) - np.float32(rng.uniform(0.2, 1.0))
    return floats(np.clip(spots * np.float32(3 if rng.random() < 0.5 else -3), -1, 1))


def weave(rng: Generator, height: int, width: int) -> Float32Array:
    """Draw threads that cross, as in cloth."""
    period = rng.uniform(3, 9)
    x = np.sin(np.arange(width, dtype=np.float32) * np.float32(2 * np.pi / period))[None]
    y = np.sin(np.arange(height, dtype=np.float32) * np.float32(2 * np.pi / period))[:, None]
    return floats(np.where(x * y > 0, x, y) + np.float32(0.3) * grain(rng, height, width))


def speckle(rng: Generator, height: int, width: int) -> Float32Array:
    """Scatter hard little grains."""
    size = rng.uniform(1.5, 5)
    rows, columns = (max(int(side / size), 2) for side in (height, width))
    field = _resize(_noise(rng, rows, columns), height, width, cv2.INTER_LINEAR)
    return floats(np.clip((field - np.float32(rng.uniform(0.1, 0.7))) * 6, -1, 1))


def grain(rng: Generator, height: int, width: int) -> Float32Array:
    """Scatter fine noise of one or two pixels."""
    size = 1 + int(rng.integers(2))
    rows, columns = (side // size + 1 for side in (height, width))
    return _resize(_noise(rng, rows, columns), height, width, cv2.INTER_LINEAR)


def marble(rng: Generator, height: int, width: int) -> Float32Array:
    """Draw veins: bands bent by noise until they fold."""
    return floats(1 - 2 * np.abs(np.sin(_waves(rng, height, width, rng.uniform(3, 7)) * np.float32(0.5))))


def pebbles(rng: Generator, height: int, width: int) -> Float32Array:
    """Measure the distance to the nearest of some points (Worley, SIGGRAPH 1996)."""
    points = np.full((height, width), 255, np.uint8)
    count = max(height * width // int(rng.integers(60, 600)), 2)
    points[rng.integers(height, size=count), rng.integers(width, size=count)] = 0
    field = np.asarray(cv2.distanceTransform(points, cv2.DIST_L2, 3), np.float32)
    return field * np.float32(2 / max(float(field.max()), 1.0)) - 1


def plates(rng: Generator, height: int, width: int) -> Float32Array:
    """Split the area into a few flat tones with crisp borders."""
    return floats(np.sign(clouds(rng, height, width) - np.float32(rng.uniform(-0.2, 0.2))))


SURFACES: tuple[Texture, ...] = (
    clouds, clouds, clouds, ramp, ramp, grain, stripes, checker,
    dots, weave, speckle, marble, pebbles, plates,
)  # fmt: skip


def surface(rng: Generator, height: int, width: int) -> Float32Array:
    """Return one texture of any kind; the smooth kinds come more often."""
    return SURFACES[int(rng.integers(len(SURFACES)))](rng, height, width)
