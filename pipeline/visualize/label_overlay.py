"""Labelled pictures for people: objects and class names on an image, readable at small sizes."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, TypedDict, Unpack

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from pipeline.core.arrays import ImageArray
from pipeline.core.tasks import Keypoints
from pipeline.dataset.labels import ImageLabels, to_xyxy

Color = tuple[int, int, int]

_SIDE = 640
_LARGEST_ZOOM = 3.0
_CROWD, _THRONG = 15, 60  # objects of a large picture beyond which names are written smaller, or not at all
_DARK = (20, 20, 20)
_SHEER = 80  # opacity of an outline's inside, of 255
_FIRST, _SECOND, _MIDDLE = (255, 160, 40), (60, 170, 255), (255, 255, 255)


class OverlayOptions(TypedDict, total=False):
    """What beside boxes may be drawn; each may be left out, or be empty.

    scores: (n,) 0..1, written beside the names.
    outlines: n arrays (k, 2) of x, y in pixels of the image, outlines or four corners: drawn in place of the
        boxes, filled translucently. An object with fewer than three points gets its box.
    keypoints: n arrays (points, 2 or 3) of x, y and visibility, in pixels: a disc if visible, a ring if
        hidden (1), nothing if not labelled (0).
    flip: What each point becomes in a mirrored image. The first of a pair is orange, the second blue, a
        point in the middle white.
    side: Of the picture, the longer one, in pixels; 640 where left out.
    """

    scores: NDArray[Any] | None
    outlines: Sequence[NDArray[Any]]
    keypoints: Sequence[NDArray[Any]] | NDArray[Any]
    flip: Sequence[int]
    side: int


def colour(index: int) -> Color:
    """Return the colour of a class, as red, green, blue: hues a golden ratio apart, in three shades."""
    shade = ((0.7, 1.0), (0.45, 1.0), (0.9, 0.75))[index // 8 % 3]
    red, green, blue = colorsys.hsv_to_rgb((0.12 + index * 0.618034) % 1, *shade)
    return round(red * 255), round(green * 255), round(blue * 255)


def label(
    image: ImageArray,
    marked: ImageLabels,
    names: Sequence[str],
    keypoints: Keypoints | None = None,
    *,
    side: int = _SIDE,
) -> ImageArray:
    """Draw an image with its labels, of whatever task they are; as `draw` returns it.

    Args:
        image: Height x width x 3, blue green red.
        marked: Its labels.
        names: Class names by index.
        keypoints: The points of a pose.
        side: Of the picture, the longer one, in pixels.
    """
    height, width = image.shape[:2]
    extent = np.array([width, height], np.float64)
    points = marked.keypoints.copy()
    points[..., :2] *= extent
    return draw(
        image,
        marked.classes,
        to_xyxy(marked.boxes, width, height),
        names,
        outlines=[outline * extent for outline in marked.outlines],
        keypoints=points,
        flip=keypoints.flip if keypoints else (),
        side=side,
    )


def draw(
    image: ImageArray,
    classes: NDArray[np.int64],
    boxes: NDArray[Any],
    names: Sequence[str],
    **more: Unpack[OverlayOptions],
) -> ImageArray:
    """Return a picture of an image with its objects marked.

    A small image is enlarged threefold at most; the argument is left as it is. The class of a whole image is
    drawn as a box around all of it.

    Args:
        image: Height x width x 3, blue green red.
        classes: (n,) class indices.
        boxes: (n, 4) x1 y1 x2 y2 in pixels of the image.
        names: Class names by index.
        **more: See `Marks`.
    """
    zoom = min(more.get("side", _SIDE) / max(image.shape[:2]), _LARGEST_ZOOM)
    how = cv2.INTER_AREA if zoom < 1 else cv2.INTER_CUBIC
    resized = cv2.resize(image, None, fx=zoom, fy=zoom, interpolation=how)
    picture = Image.fromarray(cv2.cvtColor(resized, cv2.COLOR_BGR2RGB))
    pen = ImageDraw.Draw(picture, "RGBA")
    corners = [[float(value) for value in box] for box in np.asarray(boxes, np.float64).reshape(-1, 4) * zoom]
    _shapes(pen, classes, corners, [np.asarray(points) * zoom for points in more.get("outlines", ())])
    for points in more.get("keypoints", ()):
        _points(pen, np.asarray(points, np.float64), zoom, more.get("flip", ()))
    _names(picture, classes, corners, _texts(classes, names, more.get("scores")))
    return np.asarray(cv2.cvtColor(np.asarray(picture), cv2.COLOR_RGB2BGR), np.uint8)


def _shapes(
    pen: ImageDraw.ImageDraw,
    classes: NDArray[np.int64],
    boxes: list[list[float]],
    outlines: list[NDArray[np.float64]],
) -> None:
    for number, (cls, box) in enumerate(zip(classes.tolist(), boxes, strict=True)):
        if number < len(outlines) and len(outlines[number]) > 2:
            _area(pen, outlines[number], colour(cls))
        else:
            _frame(pen, box, colour(cls))


def _frame(pen: ImageDraw.ImageDraw, box: list[float], fill: Color) -> None:
    """Draw a box with a dark edge, so that it shows on a ground of its own colour too."""
    x1, y1, x2, y2 = box
    x2, y2 = max(x2 - 1, x1), max(y2 - 1, y1)
    pen.rectangle((x1 - 1, y1 - 1, x2 + 1, y2 + 1), outline=_DARK, width=4)
    pen.rectangle((x1, y1, x2, y2), outline=fill, width=2)


def _area(pen: ImageDraw.ImageDraw, outline: NDArray[np.float64], fill: Color) -> None:
    """Draw an outline: its inside sheer, its contour with a dark edge."""
    ring = [(float(x) - 0.5, float(y) - 0.5) for x, y in outline]  # PIL counts pixel centres
    pen.polygon(ring, fill=(*fill, _SHEER))
    pen.line([*ring, *ring[:2]], fill=_DARK, width=4, joint="curve")
    pen.line([*ring, *ring[:2]], fill=fill, width=2, joint="curve")


def _points(pen: ImageDraw.ImageDraw, points: NDArray[np.float64], zoom: float, flip: Sequence[int]) -> None:
    for number, (x, y, *rest) in enumerate(points.tolist()):
        seen = rest[0] if rest else 2
        other = flip[number] if flip else number
        fill = _FIRST if number < other else _SECOND if number > other else _MIDDLE
        box = (x * zoom - 5, y * zoom - 5, x * zoom + 5, y * zoom + 5)
        if seen:
            pen.ellipse(box, fill=fill if seen > 1 else None, outline=_DARK if seen > 1 else fill, width=2)


def _texts(classes: NDArray[np.int64], names: Sequence[str], scores: NDArray[Any] | None) -> list[str]:
    if scores is None:
        return [names[cls] for cls in classes]
    return [f"{names[cls]} {score:.2f}" for cls, score in zip(classes, scores, strict=True)]


def _names(
    picture: Image.Image, classes: NDArray[np.int64], boxes: list[list[float]], texts: list[str]
) -> None:
    """Write every name, above all shapes; none where they would hide the picture.

    Above its box, or below its upper edge where there is no room above.
    """
    crowded = len(boxes) * _SIDE / max(picture.size)
    if crowded > _THRONG:
        return
    size = 10 if crowded > _CROWD else 13
    for cls, (left, top, *_), text in zip(classes.tolist(), boxes, texts, strict=True):
        plate = _plate(text, size, colour(cls))
        width, height = plate.size[0] - 1, plate.size[1] - 1
        x = min(max(left - 1, 0), max(picture.size[0] - width, 0))
        y = top - height if top >= height else top
        picture.paste(plate, (round(x), round(y)))


@lru_cache(maxsize=500)
def _plate(text: str, size: int, fill: Color) -> Image.Image:
    """Return a name on a plate; names recur, and writing one takes longer than drawing its box."""
    font = _font(size)
    left, top, right, bottom = font.getbbox(text)
    plate = Image.new("RGB", (round(right - left) + 7, round(bottom - top) + 5), fill)
    bright = 0.299 * fill[0] + 0.587 * fill[1] + 0.114 * fill[2] > 140
    ink = (0, 0, 0) if bright else (255, 255, 255)
    ImageDraw.Draw(plate).text((3 - left, 2 - top), text, font=font, fill=ink)
    return plate


@lru_cache(maxsize=2)
def _font(size: int) -> Any:
    return ImageFont.load_default(size)
