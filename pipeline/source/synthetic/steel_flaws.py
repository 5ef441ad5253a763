"""Draw the flaws of the steel demo: scratch, pit, stain, crack."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from pipeline.core.arrays import FloatArray, ImageArray
from pipeline.source.synthetic.picture import average_blocks
from pipeline.source.synthetic.steel_surface import render_smooth_noise

_SCALE = 4  # lines are drawn this many times larger, at integer coordinates, and averaged down
_MIN_VISIBLE_CHANGE = 0.07  # relative change of brightness from which a pixel belongs to the flaw


class Flaw(NamedTuple):
    """One flaw on a clean sheet.

    Attributes:
        cover: Height x width, 0 to 1: how much of each pixel the flaw covers.
        gain: Factors for blue, green and red at full cover; 1 changes nothing.
        relief: Gray levels by which edges are brighter on one side and darker on the other.
        lamp: Direction of the light, in pixels down and right.
    """

    cover: FloatArray
    gain: tuple[float, float, float]
    relief: float
    lamp: tuple[int, int]

    @property
    def visible(self) -> NDArray[np.bool_]:
        """Mask of the pixels that change enough to be visible in the noise; boxes are tight around it."""
        contrast = float(np.abs(np.array(self.gain) - 1).max())
        return np.asarray(self.cover * contrast > _MIN_VISIBLE_CHANGE)

    def apply(self, scene: FloatArray) -> FloatArray:
        """Return the scene, 3 x height x width in gray levels, with this flaw."""
        changed = scene * (1 + self.cover * (np.array(self.gain)[:, None, None] - 1))
        return np.asarray(changed + self.relief * (_shift(self.cover, self.lamp) - self.cover))


class FlawSpot(NamedTuple):
    """Where to draw a flaw: its center in pixels, the image side, and the angle of the grain."""

    x: float
    y: float
    pixels: int
    angle: float

    @property
    def unit(self) -> float:
        """Size of one pixel of a 256 pixel image, in pixels of this image."""
        return self.pixels / 256


def draw_scratch(rng: Generator, spot: FlawSpot) -> Flaw:
    """Draw a scratch: a long thin line across the grain, slightly bent, mostly bright."""
    angle = spot.angle + rng.choice([-1, 1]) * rng.uniform(0.3, np.pi / 2)
    length, steps = rng.uniform(45, 170) * spot.unit, np.linspace(-0.5, 0.5, 24)
    bend = rng.normal(0, 0.03) * length * (4 * steps**2 - 0.5)
    x = spot.x + length * steps * np.cos(angle) - bend * np.sin(angle)
    y = spot.y + length * steps * np.sin(angle) + bend * np.cos(angle)
    pressed = np.clip(1.25 - np.abs(2 * steps - rng.uniform(-0.4, 0.4)), 0.3, 1)
    pressed = pressed + rng.normal(0, 0.08, len(steps))
    canvas = np.zeros((spot.pixels * _SCALE,) * 2, np.uint8)
    width = rng.uniform(0.8, 1.7) * spot.unit
    for i in range(len(steps) - 1):
        tone = int(np.clip(255 * pressed[i], 90, 255))
        _draw_line(canvas, (x[i], y[i], x[i + 1], y[i + 1]), width * min(pressed[i], 1.0), tone)
    strong = rng.uniform(0.3, 1.0)
    gain = 1 + 0.75 * strong if rng.random() < 0.75 else 1 - 0.5 * strong
    return Flaw(average_blocks(canvas, _SCALE), (gain, gain, gain), 45 * strong, _sample_lamp(rng))


def draw_pit(rng: Generator, spot: FlawSpot) -> Flaw:
    """Draw a pit: a small round dark cavity with a bright rim on the side away from the lamp."""
    flat, tilt, radius = rng.uniform(0.75, 1.0), rng.uniform(0, np.pi), rng.uniform(3.2, 9.0) * spot.unit
    rows, columns = (_indices_near(center, 2 * radius, spot.pixels) for center in (spot.y, spot.x))
    x, y = columns[None] + 0.5 - spot.x, rows[:, None] + 0.5 - spot.y
    turn = np.arctan2(y, x)
    u, v = x * np.cos(tilt) + y * np.sin(tilt), (y * np.cos(tilt) - x * np.sin(tilt)) / flat
    uneven = 1 + sum(rng.normal(0, 0.07) * np.cos(k * turn + rng.uniform(0, 6.3)) for k in (2, 3, 5))
    reach = np.hypot(u, v) / (radius * uneven)
    cover = np.zeros((spot.pixels,) * 2)
    depth = np.clip((1.12 - reach) * min(radius * 0.6, 3.0), 0, 1) * np.clip(1.1 - 0.45 * reach, 0, 1)
    cover[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] = depth
    strong = rng.uniform(0.4, 1.0)
    dark = 1 - 0.72 * strong
    return Flaw(cover, (dark, dark, dark), 55 * strong, _sample_lamp(rng))


def draw_stain(rng: Generator, spot: FlawSpot) -> Flaw:
    """Draw a stain: a large soft discolored area, sometimes with a rim like a dried drop."""
    x, y = np.arange(spot.pixels)[None] + 0.5 - spot.x, np.arange(spot.pixels)[:, None] + 0.5 - spot.y
    tilt, flat, radius = rng.uniform(0, np.pi), rng.uniform(0.5, 1.0), rng.uniform(20, 52) * spot.unit
    u, v = x * np.cos(tilt) + y * np.sin(tilt), (y * np.cos(tilt) - x * np.sin(tilt)) / flat
    rough = 0.22 * render_smooth_noise(rng, spot.pixels, 7) + 0.09 * render_smooth_noise(rng, spot.pixels, 19)
    depth = 1 - np.hypot(u, v) / radius + rough * np.clip(2 - np.hypot(u, v) / radius, 0, 1)
    soft = rng.uniform(0.2, 0.6)
    uneven = np.clip(0.85 + 0.2 * render_smooth_noise(rng, spot.pixels, 12), 0.5, 1)
    cover = np.clip(depth / soft, 0, 1) ** 1.5 * uneven
    if rng.random() < 0.4:
        cover = np.clip(0.6 * cover + 0.55 * np.exp(-(((depth - soft) / 0.09) ** 2)) * (depth > 0), 0, 1)
    kinds = ((0.55, 0.68, 0.82), (0.9, 0.8, 0.74), (0.62, 0.63, 0.64), (0.7, 0.75, 0.78))
    strong = rng.uniform(0.45, 1.0)
    color = np.array(kinds[int(rng.integers(len(kinds)))])
    blue, green, red = (float(value) for value in 1 - strong * (1 - color))
    return Flaw(cover, (blue, green, red), 0.0, (0, 0))


def draw_crack(rng: Generator, spot: FlawSpot) -> Flaw:
    """Draw a crack: a dark jagged line with branches."""
    canvas = np.zeros((spot.pixels * _SCALE,) * 2, np.uint8)
    start, length = rng.uniform(0, 2 * np.pi), rng.uniform(28, 60) * spot.unit
    width = rng.uniform(1.2, 2.4) * spot.unit
    arms = [(spot.x, spot.y, start + turn, length, width) for turn in (0.0, np.pi + rng.normal(0, 0.3))]
    while arms:
        arms += _draw_arm(rng, canvas, arms.pop(), spot.unit)
    strong = rng.uniform(0.55, 1.0)
    dark = 1 - 0.8 * strong
    return Flaw(average_blocks(canvas, _SCALE), (dark, dark, dark), 22 * strong, _sample_lamp(rng))


CrackArm = tuple[float, float, float, float, float]


def _draw_arm(rng: Generator, canvas: ImageArray, arm: CrackArm, unit: float) -> list[CrackArm]:
    """Draw one arm of a crack, which gets thinner; return its branches."""
    x, y, heading, length, width = arm
    branches, left = [], length
    while left > 0:
        step = rng.uniform(2.5, 7) * unit
        turned = heading + rng.normal(0, 0.55)
        to_x, to_y = x + step * np.cos(turned), y + step * np.sin(turned)
        thin = width * (0.35 + 0.65 * left / length)
        _draw_line(canvas, (x, y, to_x, to_y), thin, 255)
        x, y, left = to_x, to_y, left - step
        if rng.random() < 0.14 and left > 8 * unit and width > 1.0 * unit:
            away = turned + rng.choice([-1, 1]) * rng.uniform(0.5, 1.1)
            branches.append((x, y, away, left * rng.uniform(0.3, 0.7), thin * 0.75))
    return branches


def _draw_line(canvas: ImageArray, ends: tuple[float, float, float, float], width: float, tone: int) -> None:
    x1, y1, x2, y2 = (round(value * _SCALE) for value in ends)
    cv2.line(canvas, (x1, y1), (x2, y2), tone, max(round(width * _SCALE), 2))


def _indices_near(center: float, reach: float, pixels: int) -> NDArray[np.int64]:
    """Return the indices of rows or columns within reach of a center, inside the image."""
    return np.arange(max(int(center - reach), 0), min(int(center + reach) + 1, pixels))


def _sample_lamp(rng: Generator) -> tuple[int, int]:
    sides = ((-1, 0), (1, 0), (0, -1), (0, 1), (-1, -1), (1, 1))
    return sides[int(rng.integers(len(sides)))]


def _shift(field: FloatArray, by: tuple[int, int]) -> FloatArray:
    """Shift an array by at most one pixel; values beyond the border repeat the edge."""
    down, right = by
    padded = np.pad(field, 1, mode="edge")
    height, width = field.shape
    return padded[1 - down : 1 - down + height, 1 - right : 1 - right + width]
