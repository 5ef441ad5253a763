"""Draw labels on an image: shapes, keypoints and class names, readable at small sizes."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, TypedDict, Unpack

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from pipeline.core.arrays import FloatArray, ImageArray, IntArray
from pipeline.core.tasks import Keypoints
from pipeline.dataset.labels import ImageLabels, xywhn_to_xyxy
from pipeline.visualize.fonts import load_picture_font, replace_missing_letters, shorten_names

Color = tuple[int, int, int]

_SIDE = 640
_MAX_ZOOM = 3.0
_MAX_LARGE_NAMES, _MAX_NAMES = 15, 60  # with more objects at full size, names are smaller, or left out
_MAX_NAME_COLUMNS = 40
_EDGE_COLOR = (20, 20, 20)
_FILL_OPACITY = 80  # of 255
_FIRST_COLOR, _SECOND_COLOR, _MIDDLE_COLOR = (255, 160, 40), (60, 170, 255), (255, 255, 255)


class OverlayOptions(TypedDict, total=False):
    """What to draw beside boxes, and the size; each may be left out, or be empty.

    scores: (n,) 0..1, written beside the names.
    outlines: n arrays (k, 2) of x, y in pixels of the image, outlines or four corners: drawn in place of the
        boxes, with a translucent fill. An object with fewer than three points gets its box.
    keypoints: n arrays (points, 2 or 3) of x, y and visibility, in pixels: a disc if visible, a ring if
        hidden (1), nothing if not labelled (0).
    flip: For each point the one that it becomes in a mirrored image. The first of a pair is orange, the
        second blue, a point in the middle white.
    side: The longer side of the picture, in pixels; default 640.
    """

    scores: NDArray[Any] | None
    outlines: Sequence[NDArray[Any]]
    keypoints: Sequence[NDArray[Any]] | NDArray[Any]
    flip: Sequence[int]
    side: int


def get_class_color(index: int) -> Color:
    """Return the color of a class, as red, green, blue: hues a golden ratio apart, in three shades."""
    shade = ((0.7, 1.0), (0.45, 1.0), (0.9, 0.75))[index // 8 % 3]
    red, green, blue = colorsys.hsv_to_rgb((0.12 + index * 0.618034) % 1, *shade)
    return round(red * 255), round(green * 255), round(blue * 255)


def draw_label_overlay(
    image: ImageArray,
    labels: ImageLabels,
    names: Sequence[str],
    keypoints: Keypoints | None = None,
    *,
    side: int = _SIDE,
) -> ImageArray:
    """Draw an image with its labels, of any task; see `draw_objects`.

    Args:
        image: (height, width, 3) uint8, BGR.
        labels: Its labels.
        names: Class names by index.
        keypoints: The points of a pose.
        side: The longer side of the picture, in pixels.
    """
    height, width = image.shape[:2]
    extent = np.array([width, height], np.float64)
    points = labels.keypoints.copy()
    points[..., :2] *= extent
    return draw_objects(
        image,
        labels.classes,
        xywhn_to_xyxy(labels.boxes, width, height),
        names,
        outlines=[outline * extent for outline in labels.outlines],
        keypoints=points,
        flip=keypoints.flip if keypoints else (),
        side=side,
    )


def draw_objects(
    image: ImageArray,
    classes: IntArray,
    boxes: NDArray[Any],
    names: Sequence[str],
    **options: Unpack[OverlayOptions],
) -> ImageArray:
    """Return a picture of an image with its objects drawn on it.

    A small image is enlarged three times at most; the argument is not changed. The class of a whole image is
    drawn as a box around it.

    Args:
        image: (height, width, 3) uint8, BGR.
        classes: (n,) class indices.
        boxes: (n, 4) x1 y1 x2 y2 in pixels of the image.
        names: Class names by index.
        **options: See `OverlayOptions`.
    """
    zoom = min(options.get("side", _SIDE) / max(image.shape[:2]), _MAX_ZOOM)
    how = cv2.INTER_AREA if zoom < 1 else cv2.INTER_CUBIC
    resized = cv2.resize(image, None, fx=zoom, fy=zoom, interpolation=how)
    picture = Image.fromarray(cv2.cvtColor(resized, cv2.COLOR_BGR2RGB))
    pen = ImageDraw.Draw(picture, "RGBA")
    corners = [[float(value) for value in box] for box in np.asarray(boxes, np.float64).reshape(-1, 4) * zoom]
    outlines = [np.asarray(outline) * zoom for outline in options.get("outlines", ())]
    _draw_shapes(pen, classes, corners, outlines)
    for points in options.get("keypoints", ()):
        _draw_keypoints(pen, np.asarray(points, np.float64), zoom, options.get("flip", ()))
    _draw_names(picture, classes, corners, _format_names(classes, names, options.get("scores")))
    return np.asarray(cv2.cvtColor(np.asarray(picture), cv2.COLOR_RGB2BGR), np.uint8)


def _draw_shapes(
    pen: ImageDraw.ImageDraw, classes: IntArray, boxes: list[list[float]], outlines: list[FloatArray]
) -> None:
    for number, (cls, box) in enumerate(zip(classes.tolist(), boxes, strict=True)):
        if number < len(outlines) and len(outlines[number]) > 2:
            _draw_outline(pen, outlines[number], get_class_color(cls))
        else:
            _draw_box(pen, box, get_class_color(cls))


def _draw_box(pen: ImageDraw.ImageDraw, box: list[float], fill: Color) -> None:
    """Draw a box with a dark edge, so that it shows on a background of its own color, too."""
    x1, y1, x2, y2 = box
    x2, y2 = max(x2 - 1, x1), max(y2 - 1, y1)
    pen.rectangle((x1 - 1, y1 - 1, x2 + 1, y2 + 1), outline=_EDGE_COLOR, width=4)
    pen.rectangle((x1, y1, x2, y2), outline=fill, width=2)


def _draw_outline(pen: ImageDraw.ImageDraw, outline: FloatArray, fill: Color) -> None:
    """Draw an outline with a translucent fill and a dark edge."""
    ring = [(float(x) - 0.5, float(y) - 0.5) for x, y in outline]  # PIL counts pixel centers
    pen.polygon(ring, fill=(*fill, _FILL_OPACITY))
    pen.line([*ring, *ring[:2]], fill=_EDGE_COLOR, width=4, joint="curve")
    pen.line([*ring, *ring[:2]], fill=fill, width=2, joint="curve")


def _draw_keypoints(pen: ImageDraw.ImageDraw, points: FloatArray, zoom: float, flip: Sequence[int]) -> None:
    for number, (x, y, *rest) in enumerate(points.tolist()):
        visibility = rest[0] if rest else 2
        other = flip[number] if flip else number
        color = _FIRST_COLOR if number < other else _SECOND_COLOR if number > other else _MIDDLE_COLOR
        box = (x * zoom - 5, y * zoom - 5, x * zoom + 5, y * zoom + 5)
        if visibility > 1:
            pen.ellipse(box, fill=color, outline=_EDGE_COLOR, width=2)
        elif visibility:
            pen.ellipse(box, fill=None, outline=color, width=2)


def _format_names(classes: IntArray, names: Sequence[str], scores: NDArray[Any] | None) -> list[str]:
    drawn = _choose_drawn_names(tuple(names))
    if scores is None:
        return [drawn[cls] for cls in classes]
    return [f"{drawn[cls]} {score:.2f}" for cls, score in zip(classes, scores, strict=True)]


@lru_cache(maxsize=8)
def _choose_drawn_names(names: tuple[str, ...]) -> list[str]:
    """Return the class names as they are drawn: not too long, in letters that a font has."""
    return shorten_names(replace_missing_letters(names), _MAX_NAME_COLUMNS)


def _draw_names(picture: Image.Image, classes: IntArray, boxes: list[list[float]], texts: list[str]) -> None:
    """Write every name on top of all shapes; none where names would hide the picture.

    A name is above its box, or inside at its upper edge where there is no room above.
    """
    objects = len(boxes) * _SIDE / max(picture.size)
    if objects > _MAX_NAMES:
        return
    size = 10 if objects > _MAX_LARGE_NAMES else 13
    for cls, (left, top, *_), text in zip(classes.tolist(), boxes, texts, strict=True):
        field = _render_name(text, size, get_class_color(cls))
        width, height = field.size[0] - 1, field.size[1] - 1
        x = min(max(left - 1, 0), max(picture.size[0] - width, 0))
        y = top - height if top >= height else top
        picture.paste(field, (round(x), round(y)))


@lru_cache(maxsize=500)
def _render_name(text: str, size: int, fill: Color) -> Image.Image:
    """Render a name on a colored field; cached, since writing a name takes longer than drawing its box."""
    font = load_picture_font(text, size)
    left, top, right, bottom = font.getbbox(text)
    field = Image.new("RGB", (round(right - left) + 7, round(bottom - top) + 5), fill)
    luminance = 0.299 * fill[0] + 0.587 * fill[1] + 0.114 * fill[2]
    text_color = (0, 0, 0) if luminance > 140 else (255, 255, 255)
    ImageDraw.Draw(field).text((3 - left, 2 - top), text, font=font, fill=text_color)
    return field
