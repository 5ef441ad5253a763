"""Render bare steel as an inspection camera sees it: grain, tint, light, oil film and the camera.

Everything is computed in double precision with numpy: image libraries round differently on different
processors, and the demo's files should be the same everywhere. Scenes are 3 x height x width: numpy is
several times faster on long rows than on triples.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.random import Generator

from pipeline.core.arrays import FloatArray, ImageArray

_TINTS = ((1.0, 1.0, 1.0), (1.05, 1.0, 0.95), (0.95, 1.0, 1.04), (1.02, 1.01, 0.96))  # blue, green, red


class Finish(NamedTuple):
    """The surface finish of a sheet.

    Attributes:
        angle: Direction of the grain in radians.
        long: Length of a grain line, in pixels of a 256 pixel image.
        fine: Width of a grain line, in the same unit.
        strength: Standard deviation of the grain, in gray levels.
        level: Mean brightness, in gray levels.
    """

    angle: float
    long: float
    fine: float
    strength: float
    level: float


def sample_finish(rng: Generator) -> Finish:
    """Sample a brushed, rolled or blasted finish; lines run mostly along or across the image."""
    kind = rng.choice(3, p=[0.45, 0.4, 0.15])
    angle = float(rng.choice([0.0, np.pi / 2], p=[0.7, 0.3]) + rng.normal(0, 0.06))
    level = float(rng.uniform(105, 175))
    if kind == 0:
        return Finish(angle, rng.uniform(30, 70), rng.uniform(0.45, 0.8), rng.uniform(5, 10), level)
    if kind == 1:
        return Finish(angle, rng.uniform(10, 28), rng.uniform(0.7, 1.5), rng.uniform(4, 8), level)
    return Finish(angle, rng.uniform(1.0, 1.8), rng.uniform(0.8, 1.3), rng.uniform(4, 7), level)


def render_grain(rng: Generator, finish: Finish, pixels: int) -> FloatArray:
    """Render the grain in gray levels: white noise that is smoothed along the grain, plus broader streaks.

    Both are Gaussian filters, applied in the frequency domain: exp(-2 pi^2 s^2 f^2).
    """
    down, right = np.fft.fftfreq(pixels)[:, None], np.fft.rfftfreq(pixels)[None]
    along = right * np.cos(finish.angle) + down * np.sin(finish.angle)
    across = down * np.cos(finish.angle) - right * np.sin(finish.angle)
    unit = pixels / 256
    lines = _gaussian(along, finish.long * unit) * _gaussian(across, finish.fine * unit)
    streaks = _gaussian(along, 2.5 * finish.long * unit) * _gaussian(across, 5 * finish.fine * unit)
    mixed = lines / np.sqrt((lines**2).mean()) + 0.5 * streaks / np.sqrt((streaks**2).mean())
    noise = np.fft.irfft2(np.fft.rfft2(rng.standard_normal((pixels, pixels))) * mixed, (pixels, pixels))
    return np.asarray(noise * (finish.strength / max(float(noise.std()), 1e-9)))


def _gaussian(frequency: FloatArray, sigma: float) -> FloatArray:
    return np.asarray(np.exp(-2 * (np.pi * sigma * frequency) ** 2))


def render_smooth_noise(rng: Generator, pixels: int, cells: int) -> FloatArray:
    """Render smooth noise with a standard deviation of about 1: a coarse random grid, cosine-interpolated."""
    place = np.linspace(0, cells - 1e-9, pixels)
    left = place.astype(np.int64)
    part = (1 - np.cos(np.pi * (place - left))) / 2
    coarse = rng.standard_normal((cells + 1, cells + 1)) * 1.4
    rows = coarse[left] + part[:, None] * (coarse[left + 1] - coarse[left])
    return np.asarray(rows[:, left] + part * (rows[:, left + 1] - rows[:, left]))


def render_illumination(rng: Generator, pixels: int) -> FloatArray:
    """Render the illumination, about 1: a lamp at one side, its hot spot, and vignetting."""
    x, y = np.linspace(-1, 1, pixels)[None], np.linspace(-1, 1, pixels)[:, None]
    angle, slope = rng.uniform(0, 2 * np.pi), rng.uniform(0.03, 0.22)
    lamp = 1 + slope * (x * np.cos(angle) + y * np.sin(angle))
    spot_x, spot_y = rng.uniform(-1, 1, 2)
    spot = rng.uniform(0, 0.16) * np.exp(-((x - spot_x) ** 2 + (y - spot_y) ** 2) / rng.uniform(0.2, 0.9))
    return np.asarray(lamp + spot - rng.uniform(0.04, 0.2) * (x * x + y * y))


def render_oil_film(rng: Generator, pixels: int) -> FloatArray:
    """Render a thin oil film as a factor per channel, 3 x height x width, close to 1."""
    film = np.clip(render_smooth_noise(rng, pixels, 3) - 0.4, 0, 1.5)
    phase = film * rng.uniform(2, 5)
    color = np.stack([np.sin(phase), np.sin(phase + 0.7), np.sin(phase + 1.4)])
    return np.asarray(1 + color * rng.uniform(0.008, 0.028))


def render_steel_surface(rng: Generator, pixels: int) -> tuple[FloatArray, Finish]:
    """Render a clean sheet.

    Returns:
        The sheet, 3 x height x width in gray levels, and its finish.
    """
    finish = sample_finish(rng)
    gray = finish.level + render_grain(rng, finish, pixels)
    gray = gray + rng.uniform(1, 4) * render_smooth_noise(rng, pixels, 4)
    image = gray * np.array(_TINTS[int(rng.integers(len(_TINTS)))])[:, None, None]
    if rng.random() < 0.35:
        image = image * render_oil_film(rng, pixels)
    return image, finish


def simulate_inspection_camera(rng: Generator, scene: FloatArray) -> ImageArray:
    """Simulate the inspection camera: uneven light, a little blur, sensor noise, 8 bits.

    Returns:
        Height x width x 3, blue green red.
    """
    pixels = scene.shape[1]
    image = scene * render_illumination(rng, pixels)
    if rng.random() < 0.5:
        image = _blur(image)
    image += rng.standard_normal((pixels, pixels), np.float32) * rng.uniform(1.5, 4.5)
    image += rng.standard_normal((3, pixels, pixels), np.float32) * rng.uniform(0.5, 1.5)
    return np.ascontiguousarray(np.clip(np.rint(image), 0, 255).astype(np.uint8).transpose(1, 2, 0))


def _blur(image: FloatArray) -> FloatArray:
    """Blur with the binomial filter 1 2 1 in both directions, as a lens slightly out of focus does."""
    padded = np.pad(image, ((0, 0), (1, 1), (1, 1)), mode="edge")
    rows = padded[:, :-2] + 2 * padded[:, 1:-1] + padded[:, 2:]
    return np.asarray((rows[..., :-2] + 2 * rows[..., 1:-1] + rows[..., 2:]) / 16)
