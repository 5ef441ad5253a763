"""Bare steel as an inspection camera sees it: grain, tint, light, oil sheen, and the camera itself.

Everything is computed in double precision with numpy alone: filters of image libraries round
differently from processor to processor, and the demo's files should be the same everywhere. Scenes are
3 x height x width: numpy is several times faster over long rows than over triples.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.random import Generator

from pipeline.core.arrays import FloatArray, ImageArray

_TINTS = ((1.0, 1.0, 1.0), (1.05, 1.0, 0.95), (0.95, 1.0, 1.04), (1.02, 1.01, 0.96))  # blue, green, red


class Finish(NamedTuple):
    """How a sheet was worked.

    Attributes:
        angle: Direction of the grain in radians.
        long: Length of a grain line, in pixels of a 256 pixel picture.
        fine: Width of a grain line, likewise.
        strength: Deviation of the grain, in grey levels.
        level: Mean brightness, in grey levels.
    """

    angle: float
    long: float
    fine: float
    strength: float
    level: float


def finish(rng: Generator) -> Finish:
    """Return a brushed, a rolled or a blasted sheet; lines run mostly along or across the picture."""
    kind = rng.choice(3, p=[0.45, 0.4, 0.15])
    angle = float(rng.choice([0.0, np.pi / 2], p=[0.7, 0.3]) + rng.normal(0, 0.06))
    level = float(rng.uniform(105, 175))
    if kind == 0:
        return Finish(angle, rng.uniform(30, 70), rng.uniform(0.45, 0.8), rng.uniform(5, 10), level)
    if kind == 1:
        return Finish(angle, rng.uniform(10, 28), rng.uniform(0.7, 1.5), rng.uniform(4, 8), level)
    return Finish(angle, rng.uniform(1.0, 1.8), rng.uniform(0.8, 1.3), rng.uniform(4, 7), level)


def grain(rng: Generator, look: Finish, pixels: int) -> FloatArray:
    """Return white noise smoothed along the grain, and broader streaks under it, in grey levels.

    Both are Gaussian filters, multiplied in the frequency domain: exp(-2 pi^2 s^2 f^2).
    """
    down, right = np.fft.fftfreq(pixels)[:, None], np.fft.rfftfreq(pixels)[None]
    along = right * np.cos(look.angle) + down * np.sin(look.angle)
    across = down * np.cos(look.angle) - right * np.sin(look.angle)
    unit = pixels / 256
    lines = _gauss(along, look.long * unit) * _gauss(across, look.fine * unit)
    streaks = _gauss(along, 2.5 * look.long * unit) * _gauss(across, 5 * look.fine * unit)
    mixed = lines / np.sqrt((lines**2).mean()) + 0.5 * streaks / np.sqrt((streaks**2).mean())
    noise = np.fft.irfft2(np.fft.rfft2(rng.standard_normal((pixels, pixels))) * mixed, (pixels, pixels))
    return np.asarray(noise * (look.strength / max(float(noise.std()), 1e-9)))


def _gauss(frequency: FloatArray, sigma: float) -> FloatArray:
    return np.asarray(np.exp(-2 * (np.pi * sigma * frequency) ** 2))


def clouds(rng: Generator, pixels: int, cells: int) -> FloatArray:
    """Return a smooth random field of deviation about one: values on a coarse grid, blended by cosines."""
    place = np.linspace(0, cells - 1e-9, pixels)
    left = place.astype(np.int64)
    part = (1 - np.cos(np.pi * (place - left))) / 2
    coarse = rng.standard_normal((cells + 1, cells + 1)) * 1.4
    rows = coarse[left] + part[:, None] * (coarse[left + 1] - coarse[left])
    return np.asarray(rows[:, left] + part * (rows[:, left + 1] - rows[:, left]))


def light(rng: Generator, pixels: int) -> FloatArray:
    """Return the illumination, about one: a lamp at one side, its hot spot, and vignetting."""
    x, y = np.linspace(-1, 1, pixels)[None], np.linspace(-1, 1, pixels)[:, None]
    angle, slope = rng.uniform(0, 2 * np.pi), rng.uniform(0.03, 0.22)
    lamp = 1 + slope * (x * np.cos(angle) + y * np.sin(angle))
    spot_x, spot_y = rng.uniform(-1, 1, 2)
    spot = rng.uniform(0, 0.16) * np.exp(-((x - spot_x) ** 2 + (y - spot_y) ** 2) / rng.uniform(0.2, 0.9))
    return np.asarray(lamp + spot - rng.uniform(0.04, 0.2) * (x * x + y * y))


def sheen(rng: Generator, pixels: int) -> FloatArray:
    """Return a thin oil film as a factor per channel, 3 x height x width, very near to one."""
    film = np.clip(clouds(rng, pixels, 3) - 0.4, 0, 1.5)
    phase = film * rng.uniform(2, 5)
    colour = np.stack([np.sin(phase), np.sin(phase + 0.7), np.sin(phase + 1.4)])
    return np.asarray(1 + colour * rng.uniform(0.008, 0.028))


def sheet(rng: Generator, pixels: int) -> tuple[FloatArray, Finish]:
    """Return a clean sheet, 3 x height x width in grey levels, and how it was worked."""
    look = finish(rng)
    grey = look.level + grain(rng, look, pixels) + rng.uniform(1, 4) * clouds(rng, pixels, 4)
    image = grey * np.array(_TINTS[int(rng.integers(len(_TINTS)))])[:, None, None]
    if rng.random() < 0.35:
        image = image * sheen(rng, pixels)
    return image, look


def photograph(rng: Generator, scene: FloatArray) -> ImageArray:
    """Return what the camera makes of a scene: uneven light, a little blur, sensor noise, 8 bits.

    Returns:
        Height x width x 3, blue green red.
    """
    pixels = scene.shape[1]
    image = scene * light(rng, pixels)
    if rng.random() < 0.5:
        image = _soften(image)
    image += rng.standard_normal((pixels, pixels), np.float32) * rng.uniform(1.5, 4.5)
    image += rng.standard_normal((3, pixels, pixels), np.float32) * rng.uniform(0.5, 1.5)
    return np.ascontiguousarray(np.clip(np.rint(image), 0, 255).astype(np.uint8).transpose(1, 2, 0))


def _soften(image: FloatArray) -> FloatArray:
    """Blur by the binomial filter 1 2 1 in both directions: a lens slightly out of focus."""
    padded = np.pad(image, ((0, 0), (1, 1), (1, 1)), mode="edge")
    rows = padded[:, :-2] + 2 * padded[:, 1:-1] + padded[:, 2:]
    return np.asarray((rows[..., :-2] + 2 * rows[..., 1:-1] + rows[..., 2:]) / 16)
