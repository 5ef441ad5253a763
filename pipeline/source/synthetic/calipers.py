"""Draw the pose demo: calipers on a steel sheet, with keypoints at their joints and tips."""

from __future__ import annotations

from typing import Final, NamedTuple

import cv2
import numpy as np
from numpy.random import Generator

from pipeline.core.arrays import Float32Array, FloatArray
from pipeline.core.tasks import Keypoints
from pipeline.source.synthetic.picture import DrawnImage, average_blocks, tight_box, to_float32
from pipeline.source.synthetic.steel_surface import (
    render_smooth_noise,
    render_steel_surface,
    simulate_inspection_camera,
)

CALIPER_CLASSES: Final = ("calliper",)
CALIPER_KEYPOINTS: Final = Keypoints(
    ("hinge", "left_bend", "right_bend", "left_tip", "right_tip"), (0, 2, 1, 4, 3)
)

_SCALE = 4  # lines are drawn this many times larger, at integer coordinates, and averaged down
_STEPS = 40  # points along a leg
_METAL_TINTS = ((1.0, 1.0, 1.0), (1.04, 1.01, 0.97), (0.62, 0.84, 1.0))  # steel, blued steel, brass
_BLOCK_CHANCE = 0.3  # chance of a gauge block on a tip or a bend


class Caliper(NamedTuple):
    """One pair of calipers at its place in the image.

    Attributes:
        left: (40, 2) x y in pixels along the middle of one leg, from hinge to tip; the left leg if the hinge
            is above.
        right: The same for the other leg.
        points: (5, 2) the keypoints, in pixels.
        thickness: Half the width of a leg at the hinge, in pixels.
    """

    left: FloatArray
    right: FloatArray
    points: FloatArray
    thickness: float


def draw_caliper_image(index: int, *, seed: int, pixels: int) -> DrawnImage:
    """Draw one image with one or two pairs of calipers; the same arguments give the same image.

    Args:
        index: Number of the image, 0 or more.
        seed: Seed of the dataset.
        pixels: Side of the square image, 64 or more.
    """
    rng = np.random.default_rng([seed, index])
    image, _ = render_steel_surface(rng, pixels)
    boxes, poses, occupied = [], [], np.zeros((pixels, pixels), bool)
    for _ in range(int(rng.integers(1, 3))):
        tool = _sample_caliper(rng, pixels)
        cover = _rasterize_caliper(tool, pixels)
        block = _rasterize_block(rng, tool, pixels) if rng.random() < _BLOCK_CHANCE else np.zeros_like(cover)
        covered = np.maximum(cover, block) > 0
        if (covered & occupied).any() or (cover > 0.5).sum() < pixels:
            continue
        occupied |= covered
        image = _paint_metal(rng, image, cover)
        image = _paint_metal(rng, image, block) if block.any() else image
        boxes.append(tight_box(cover > 0.5))
        poses.append(_build_keypoints(tool.points, block))
    classes = np.zeros(len(boxes), np.int64)
    return DrawnImage(
        simulate_inspection_camera(rng, image), to_float32(boxes).reshape(-1, 4), classes, [], tuple(poses)
    )


def _sample_caliper(rng: Generator, pixels: int) -> Caliper:
    """Sample size, opening, place and rotation."""
    length, spread, gap = rng.uniform(0.35, 0.72), rng.uniform(0.26, 0.44), rng.uniform(0.03, 0.26)
    corners = np.array([[0.02, 0.0], [1.35 * spread, 0.1], [1.35 * spread, 0.8], [gap, 1.0]])
    leg = _bezier_curve(corners)
    mirrored = leg * [-1, 1]
    bend = int(leg[:, 0].argmax())
    points = np.array([[0, 0], mirrored[bend], leg[bend], mirrored[-1], leg[-1]])
    angle, center = rng.uniform(0, 2 * np.pi), rng.uniform(0.3, 0.7, 2) * pixels
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]]) * length * pixels
    left, right, marked = ((part - [0, 0.5]) @ turn + center for part in (mirrored, leg, points))
    return Caliper(left, right, marked, rng.uniform(0.028, 0.042) * length * pixels)


def _bezier_curve(corners: FloatArray) -> FloatArray:
    """Return the cubic Bezier curve (40, 2) of four control points."""
    t = np.linspace(0, 1, _STEPS)[:, None]
    weights = (1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t**2 * (1 - t), t**3
    return np.asarray(np.concatenate(weights, axis=1) @ corners)


def _rasterize_caliper(tool: Caliper, pixels: int) -> FloatArray:
    """Return the fraction of each pixel that the calipers cover, 0 to 1."""
    canvas = np.zeros((pixels * _SCALE,) * 2, np.uint8)
    for leg in (tool.left, tool.right):
        for step in range(_STEPS - 1):
            width = tool.thickness * (1.0 - 0.62 * step / _STEPS) * 2 * _SCALE
            start, end = (_scale_point(place) for place in leg[step : step + 2])
            cv2.line(canvas, start, end, 255, max(round(width), 2))
    cv2.circle(canvas, _scale_point(tool.points[0]), round(2.4 * tool.thickness * _SCALE), 255, -1)
    return average_blocks(canvas, _SCALE)


def _rasterize_block(rng: Generator, tool: Caliper, pixels: int) -> FloatArray:
    """Return the coverage of a gauge block that hides one of the keypoints, not the hinge."""
    canvas = np.zeros((pixels * _SCALE,) * 2, np.uint8)
    center = tool.points[int(rng.integers(1, 5))] + rng.normal(0, 0.3, 2) * tool.thickness
    sides = rng.uniform(4.5, 7.5, 2) * tool.thickness
    corners = cv2.boxPoints((center.tolist(), sides.tolist(), float(rng.uniform(0, 90))))
    cv2.fillConvexPoly(canvas, np.rint(corners * _SCALE).astype(np.int32), 255)
    return average_blocks(canvas, _SCALE)


def _paint_metal(rng: Generator, scene: FloatArray, cover: FloatArray) -> FloatArray:
    """Paint a metal object onto the scene: its shadow, its surface, and highlights at its edges."""
    pixels = cover.shape[0]
    reach = max(round(pixels / 64), 1)
    down, right = (int(value) for value in rng.choice([-1, 1], 2))
    soft = _blur(cover, 2 * reach)
    shadow = _shift(soft, down * reach, right * reach) * rng.uniform(0.35, 0.6)
    rounded = _blur(cover, reach)
    lit = rounded - _shift(rounded, down, right)
    tone = rng.uniform(60, 200) + rng.uniform(1, 3) * render_smooth_noise(rng, pixels, 9)
    metal = (tone + rng.uniform(120, 220) * lit) * np.array(_METAL_TINTS[int(rng.integers(3))])[:, None, None]
    return np.asarray(scene * (1 - shadow * (1 - cover)) * (1 - cover) + metal * cover)


def _shift(field: FloatArray, down: int, right: int) -> FloatArray:
    """Shift an array by some pixels; values beyond the border repeat the edge."""
    reach, side = abs(down), len(field)
    padded = np.pad(field, reach, mode="edge")
    return padded[reach - down : reach - down + side, reach - right : reach - right + side]


def _blur(field: FloatArray, times: int) -> FloatArray:
    """Blur with the binomial filter 1 2 1 in both directions, several times."""
    for _ in range(times):
        padded = np.pad(field, 1, mode="edge")
        rows = padded[:-2] + 2 * padded[1:-1] + padded[2:]
        field = (rows[:, :-2] + 2 * rows[:, 1:-1] + rows[:, 2:]) / 16
    return field


def _build_keypoints(points: FloatArray, block: FloatArray) -> Float32Array:
    """Return keypoints (5, 3): x, y and visibility, 0 if outside the image and 1 if under the block."""
    pose = np.zeros((len(points), 3), np.float32)
    for row, (x, y) in enumerate(points):
        if 0 <= x < len(block) and 0 <= y < len(block):
            pose[row] = x, y, 1 if block[int(y), int(x)] > 0.5 else 2
    return pose


def _scale_point(place: FloatArray) -> tuple[int, int]:
    return round(float(place[0]) * _SCALE), round(float(place[1]) * _SCALE)
