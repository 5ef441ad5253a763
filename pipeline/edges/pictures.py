"""Labelled pictures for people: boxes and class names on an image, readable at small sizes."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Pixels = NDArray[np.uint8]
Colour = tuple[int, int, int]

_SIDE = 640
_LARGEST_ZOOM = 3.0
_CROWD = 15  # objects from which on names are written smaller


def colour(index: int) -> Colour:
    """Return the colour of a class, as red, green, blue: hues a golden ratio apart, in three shades."""
    shade = ((0.7, 1.0), (0.45, 1.0), (0.9, 0.75))[index // 8 % 3]
    red, green, blue = colorsys.hsv_to_rgb((0.12 + index * 0.618034) % 1, *shade)
    return round(red * 255), round(green * 255), round(blue * 255)


def draw(
    image: Pixels,
    classes: NDArray[np.int64],
    boxes: NDArray[Any],
    names: Sequence[str],
    *,
    scores: NDArray[Any] | None = None,
) -> Pixels:
    """Return a picture of an image with its objects marked, 640 pixels on its longer side.

    A small image is enlarged threefold at most; the argument is left as it is.

    Args:
        image: Height x width x 3, blue green red.
        classes: (n,) class indices.
        boxes: (n, 4) x1 y1 x2 y2 in pixels of the image.
        names: Class names by index.
        scores: (n,) 0..1, written beside the names.
    """
    zoom = min(_SIDE / max(image.shape[:2]), _LARGEST_ZOOM)
    how = cv2.INTER_AREA if zoom < 1 else cv2.INTER_CUBIC
    resized = cv2.resize(image, None, fx=zoom, fy=zoom, interpolation=how)
    picture = Image.fromarray(cv2.cvtColor(resized, cv2.COLOR_BGR2RGB))
    pen = ImageDraw.Draw(picture)
    corners = [[float(value) for value in box] for box in np.asarray(boxes, np.float64).reshape(-1, 4) * zoom]
    font = ImageFont.load_default(10 if len(corners) > _CROWD else 13)
    for cls, box in zip(classes.tolist(), corners, strict=True):
        _frame(pen, box, colour(cls))
    for number, (cls, box) in enumerate(zip(classes.tolist(), corners, strict=True)):
        text = names[cls] if scores is None else f"{names[cls]} {scores[number]:.2f}"
        _tag(pen, box, text, font=font, fill=colour(cls))
    return np.asarray(cv2.cvtColor(np.asarray(picture), cv2.COLOR_RGB2BGR), np.uint8)


def _frame(pen: ImageDraw.ImageDraw, box: list[float], fill: Colour) -> None:
    """Draw a box with a dark edge, so that it shows on a ground of its own colour too."""
    x1, y1, x2, y2 = box
    x2, y2 = max(x2 - 1, x1), max(y2 - 1, y1)
    pen.rectangle((x1 - 1, y1 - 1, x2 + 1, y2 + 1), outline=(20, 20, 20), width=4)
    pen.rectangle((x1, y1, x2, y2), outline=fill, width=2)


def _tag(pen: ImageDraw.ImageDraw, box: list[float], text: str, *, font: Any, fill: Colour) -> None:
    """Write a name on a plate above the box, or below its upper edge where there is no room above."""
    left, top, right, bottom = pen.textbbox((0, 0), text, font=font)
    width, height = right - left + 6, bottom - top + 4
    x = min(max(box[0] - 1, 0), max(pen.im.size[0] - width, 0))
    y = box[1] - height if box[1] >= height else box[1]
    pen.rectangle((x, y, x + width, y + height), fill=fill)
    bright = 0.299 * fill[0] + 0.587 * fill[1] + 0.114 * fill[2] > 140
    pen.text((x + 3 - left, y + 2 - top), text, font=font, fill=(0, 0, 0) if bright else (255, 255, 255))
