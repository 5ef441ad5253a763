"""The demo of poses: callipers that lie on a steel sheet, with the places of their joints and tips."""

from __future__ import annotations

from typing import Final, NamedTuple

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from pipeline.core.arrays import Float32Array, FloatArray
from pipeline.core.tasks import Keypoints
from pipeline.source.synthetic import steel_surface as surface
from pipeline.source.synthetic.picture import DrawnImage, floats

CLASSES: Final = ("calliper",)
POINTS: Final = Keypoints(("hinge", "left_bend", "right_bend", "left_tip", "right_tip"), (0, 2, 1, 4, 3))

_FINE = 4  # lines are drawn this many times larger, in whole numbers, and averaged down
_STEPS = 40
_METALS = ((1.0, 1.0, 1.0), (1.04, 1.01, 0.97), (0.62, 0.84, 1.0))  # steel, blued steel, brass
_HIDDEN = 0.3  # chance of a gauge block on a tip or a bend


class Caliper(NamedTuple):
    """One pair of callipers where it lies.

    Attributes:
        left: (40, 2) x y in pixels along the middle of one leg, from the hinge to the tip; the left one as
            seen with the hinge above.
        right: The other.
        points: (5, 2) the points of the pose, in pixels.
        thick: Half the width of a leg at the hinge, in pixels.
    """

    left: FloatArray
    right: FloatArray
    points: FloatArray
    thick: float


def draw(index: int, *, seed: int, pixels: int) -> DrawnImage:
    """Draw one picture with one or two pairs of callipers; the same arguments give the same picture.

    Args:
        index: Which picture, 0 or more.
        seed: Which series of pictures.
        pixels: Side of the square picture, 64 or more.
    """
    rng = np.random.default_rng([seed, index])
    image, _ = surface.sheet(rng, pixels)
    boxes, poses, taken = [], [], np.zeros((pixels, pixels), bool)
    for _ in range(int(rng.integers(1, 3))):
        tool = _tool(rng, pixels)
        cover = _cover(tool, pixels)
        block = _block(rng, tool, pixels) if rng.random() < _HIDDEN else np.zeros_like(cover)
        whole = np.maximum(cover, block) > 0
        if (whole & taken).any() or (cover > 0.5).sum() < pixels:
            continue
        taken |= whole
        image = _laid(rng, image, cover)
        image = _laid(rng, image, block) if block.any() else image
        boxes.append(_box(cover > 0.5))
        poses.append(_pose(tool.points, block))
    classes = np.zeros(len(boxes), np.int64)
    return DrawnImage(surface.photograph(rng, image), floats(boxes).reshape(-1, 4), classes, [], tuple(poses))


def _tool(rng: Generator, pixels: int) -> Caliper:
    """Choose size, opening and place; the hinge is above, then all of it is turned."""
    length, spread, gap = rng.uniform(0.35, 0.72), rng.uniform(0.26, 0.44), rng.uniform(0.03, 0.26)
    corners = np.array([[0.02, 0.0], [1.35 * spread, 0.1], [1.35 * spread, 0.8], [gap, 1.0]])
    leg = _curve(corners)
    mirrored = leg * [-1, 1]
    bend = int(leg[:, 0].argmax())
    points = np.array([[0, 0], mirrored[bend], leg[bend], mirrored[-1], leg[-1]])
    angle, centre = rng.uniform(0, 2 * np.pi), rng.uniform(0.3, 0.7, 2) * pixels
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]]) * length * pixels
    left, right, marked = ((part - [0, 0.5]) @ turn + centre for part in (mirrored, leg, points))
    return Caliper(left, right, marked, rng.uniform(0.028, 0.042) * length * pixels)


def _curve(corners: FloatArray) -> FloatArray:
    """Return the cubic Bezier curve (40, 2) of four corners."""
    t = np.linspace(0, 1, _STEPS)[:, None]
    weights = (1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t**2 * (1 - t), t**3
    return np.asarray(np.concatenate(weights, axis=1) @ corners)


def _cover(tool: Caliper, pixels: int) -> FloatArray:
    """Return how much of each pixel the tool covers, 0 to 1."""
    canvas = np.zeros((pixels * _FINE,) * 2, np.uint8)
    for leg in (tool.left, tool.right):
        for step in range(_STEPS - 1):
            width = tool.thick * (1.0 - 0.62 * step / _STEPS) * 2 * _FINE
            start, end = (_fine(place) for place in leg[step : step + 2])
            cv2.line(canvas, start, end, 255, max(round(width), 2))
    cv2.circle(canvas, _fine(tool.points[0]), round(2.4 * tool.thick * _FINE), 255, -1)
    return _shrunk(canvas)


def _block(rng: Generator, tool: Caliper, pixels: int) -> FloatArray:
    """Return the cover of a gauge block that lies on one of the points, not on the hinge."""
    canvas = np.zeros((pixels * _FINE,) * 2, np.uint8)
    centre = tool.points[int(rng.integers(1, 5))] + rng.normal(0, 0.3, 2) * tool.thick
    sides = rng.uniform(4.5, 7.5, 2) * tool.thick
    corners = cv2.boxPoints((centre.tolist(), sides.tolist(), float(rng.uniform(0, 90))))
    cv2.fillConvexPoly(canvas, np.rint(corners * _FINE).astype(np.int32), 255)
    return _shrunk(canvas)


def _laid(rng: Generator, scene: FloatArray, cover: FloatArray) -> FloatArray:
    """Lay a metal thing on the scene: its shadow beside it, its own tone, its edges bevelled by the light."""
    pixels = cover.shape[0]
    reach = max(round(pixels / 64), 1)
    down, right = (int(value) for value in rng.choice([-1, 1], 2))
    soft = _softened(cover, 2 * reach)
    shadow = _moved(soft, down * reach, right * reach) * rng.uniform(0.35, 0.6)
    rounded = _softened(cover, reach)
    lit = rounded - _moved(rounded, down, right)
    tone = rng.uniform(60, 200) + rng.uniform(1, 3) * surface.clouds(rng, pixels, 9)
    metal = (tone + rng.uniform(120, 220) * lit) * np.array(_METALS[int(rng.integers(3))])[:, None, None]
    return np.asarray(scene * (1 - shadow * (1 - cover)) * (1 - cover) + metal * cover)


def _moved(field: FloatArray, down: int, right: int) -> FloatArray:
    """Shift a field; what lies beyond the border is taken as its edge."""
    reach, side = abs(down), len(field)
    padded = np.pad(field, reach, mode="edge")
    return padded[reach - down : reach - down + side, reach - right : reach - right + side]


def _softened(field: FloatArray, times: int) -> FloatArray:
    """Blur by the binomial filter 1 2 1 in both directions, some times."""
    for _ in range(times):
        padded = np.pad(field, 1, mode="edge")
        rows = padded[:-2] + 2 * padded[1:-1] + padded[2:]
        field = (rows[:, :-2] + 2 * rows[:, 1:-1] + rows[:, 2:]) / 16
    return field


def _pose(points: FloatArray, block: FloatArray) -> Float32Array:
    """Say of each point whether it is to be seen: not outside the picture, nor under the block."""
    pose = np.zeros((len(points), 3), np.float32)
    for row, (x, y) in enumerate(points):
        if 0 <= x < len(block) and 0 <= y < len(block):
            pose[row] = x, y, 1 if block[int(y), int(x)] > 0.5 else 2
    return pose


def _box(visible: NDArray[np.bool_]) -> list[int]:
    rows, columns = np.flatnonzero(visible.any(1)), np.flatnonzero(visible.any(0))
    return [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]


def _fine(place: FloatArray) -> tuple[int, int]:
    return round(float(place[0]) * _FINE), round(float(place[1]) * _FINE)


def _shrunk(canvas: NDArray[np.uint8]) -> FloatArray:
    """Average blocks of pixels; on whole numbers this is exact on every machine."""
    side = canvas.shape[0] // _FINE
    small = cv2.resize(canvas, (side, side), interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.float64) / 255
