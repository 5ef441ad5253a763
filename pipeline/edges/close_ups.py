"""A part of an image, enlarged, with a few objects drawn on it and named."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

SIDE: Final = 420
"""Pixels of a picture's longer side."""

PLATE: Final = 22
"""Pixels of a name's height."""

EDGE: Final = "#000000"
INK: Final = "#111111"
Floats = NDArray[np.float64]


class Mark(NamedTuple):
    """One object to draw.

    Attributes:
        box: x1 y1 x2 y2 in pixels of the image.
        ring: Its outline or corners (k, 2) in pixels; None where it has a box alone.
        colour: Of its lines and its name's plate.
        text: Its name.
    """

    box: Floats
    ring: Floats | None
    colour: str
    text: str


def draw(image: NDArray[np.uint8], marks: Sequence[Mark]) -> NDArray[np.uint8]:
    """Return the surroundings of one or two marks (BGR), the first named below if there are two.

    Args:
        image: (height, width, 3) uint8, BGR.
        marks: What is drawn, the last above all others.
    """
    left, top, right, bottom = _surroundings(np.array([mark.box for mark in marks]), image.shape[:2])
    cut = Image.fromarray(np.ascontiguousarray(image[top:bottom, left:right, ::-1]))
    scale = SIDE / max(cut.size)
    cut = cut.resize((max(1, round(cut.width * scale)), max(1, round(cut.height * scale))))
    pen, font = ImageDraw.Draw(cut), ImageFont.load_default(18)
    for place, mark in enumerate(marks):
        x1, y1, _, y2 = ((mark.box - [left, top, left, top]) * scale).tolist()
        _line(pen, (_corners(mark) - [left, top]) * scale, mark.colour)
        below = place == 0 and len(marks) > 1
        _name(pen, mark, (x1, y2 + 3 if below else y1 - PLATE - 3), font=font)
    return np.ascontiguousarray(np.asarray(cut)[..., ::-1])


def _corners(mark: Mark) -> Floats:
    if mark.ring is not None and len(mark.ring) > 2:
        return mark.ring
    x1, y1, x2, y2 = mark.box
    return np.array([[x1, y1], [x2, y1], [x2, y2], [x1, y2]])


def _line(pen: ImageDraw.ImageDraw, ring: Floats, colour: str) -> None:
    points = [(float(x), float(y)) for x, y in (*ring, *ring[:2])]
    pen.line(points, fill=EDGE, width=5, joint="curve")
    pen.line(points, fill=colour, width=3, joint="curve")


def _name(pen: ImageDraw.ImageDraw, mark: Mark, at: tuple[float, float], *, font: Any) -> None:
    width = pen.textlength(mark.text, font=font) + 8
    x = min(max(at[0], 0), max(pen.im.size[0] - width, 0))
    y = min(max(at[1], 0), max(pen.im.size[1] - PLATE, 0))
    pen.rectangle((x, y, x + width, y + PLATE), fill=mark.colour)
    pen.text((x + 4, y), mark.text, fill=INK, font=font)


def _surroundings(boxes: Floats, size: tuple[int, ...]) -> tuple[int, int, int, int]:
    """Return the part to show: three times as wide as the marks, a quarter of the image at least."""
    height, width = size[:2]
    low, high = boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0)
    side = max(3 * float((high - low).max()), max(width, height) / 4)
    start = np.clip((low + high) / 2 - side / 2, 0, np.maximum([width - side, height - side], 0))
    end = np.minimum(start + side, [width, height])
    return int(start[0]), int(start[1]), int(np.ceil(end[0])), int(np.ceil(end[1]))
