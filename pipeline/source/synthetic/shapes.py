"""Draw the images that the foundation weights are pre-trained on: thirty classes of shapes and textures.

What should transfer to real images is varied: size, crowding, occlusion, transparency, focus, light, texture,
contrast between object and background, and the camera. Half of the backgrounds are crops of photographs.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from pipeline.core.arrays import Float32Array
from pipeline.source.synthetic.background import crop_photograph, draw_background, draw_distractors
from pipeline.source.synthetic.camera import simulate_camera
from pipeline.source.synthetic.masks import Stencil, rasterize_stencil
from pipeline.source.synthetic.outlines import OUTLINE_SAMPLERS, build_rectangle, sample_region
from pipeline.source.synthetic.painting import (
    Canvas,
    PaintStyle,
    paint_object,
    sample_paint_style,
    shade_surface,
)
from pipeline.source.synthetic.palette import Palette, ensure_contrast, sample_object_color, sample_palette
from pipeline.source.synthetic.picture import DrawnImage, tight_box, to_float32
from pipeline.source.synthetic.placement import ClassSet, Placement, sample_placements
from pipeline.source.synthetic.textures import (
    Texture,
    draw_checker_texture,
    draw_dot_texture,
    draw_marble_texture,
    draw_stripe_texture,
)

# Classes that are defined by texture: outlines alone would not teach texture.
_TEXTURE_CLASSES: dict[str, Texture] = {
    "striped": draw_stripe_texture,
    "dotted": draw_dot_texture,
    "checkered": draw_checker_texture,
    "marbled": draw_marble_texture,
}

SHAPE_CLASSES: tuple[str, ...] = (*OUTLINE_SAMPLERS, *_TEXTURE_CLASSES)

_SIMPLE_SHAPES = (
    *("disc", "ring", "ellipse", "blob", "crescent"),
    *("drop", "triangle", "rectangle", "star", "cross"),
)
_CLASS_SET = ClassSet(len(SHAPE_CLASSES), tuple(SHAPE_CLASSES.index(name) for name in _SIMPLE_SHAPES))

PHOTOGRAPHS = 0.5
"""Share of images whose background is a photograph."""
EMPTY_PHOTOGRAPHS = 0.5
"""Share of these without any object."""
_MIN_VISIBLE = 0.25  # fraction of an object's area that must be visible for it to be labeled
_MIN_SIDE = 4  # pixels of a box's shorter side
_MIN_AREA = 12  # visible pixels


class _PaintedObject(NamedTuple):
    """An object that was painted on the canvas: its visible part is measured at the end."""

    kind: int
    stencil: Stencil
    order: int


def draw_shapes_image(index: int, *, seed: int, pixels: int) -> DrawnImage:
    """Draw one image; the same arguments give the same image, whatever was drawn before.

    Args:
        index: Number of the image, 0 or more.
        seed: Seed of the dataset.
        pixels: Side of the square image, 64 or more.
    """
    rng = np.random.default_rng([seed, index])
    colors = sample_palette(rng)
    is_photograph = rng.random() < PHOTOGRAPHS
    image = crop_photograph(rng, pixels) if is_photograph else draw_background(rng, colors, pixels)
    if is_photograph:
        colors = colors._replace(ground=image.mean((0, 1)))
    canvas = Canvas(image, np.full((pixels, pixels), -1, np.int16))
    draw_distractors(rng, image, colors)
    is_empty = is_photograph and rng.random() < EMPTY_PHOTOGRAPHS
    painted = [] if is_empty else _paint_objects(rng, canvas, colors)
    if rng.random() < 0.3:
        draw_distractors(rng, image, colors)
    boxes, classes, polygons = _build_labels(painted, canvas.top)
    return DrawnImage(simulate_camera(rng, image), boxes, classes, polygons)


def _paint_objects(rng: Generator, canvas: Canvas, colors: Palette) -> list[_PaintedObject]:
    """Paint the objects of one scene; in most scenes they have the same style."""
    bright = float(colors.ground.mean()) > 110
    shared, alike = sample_paint_style(rng, bright), rng.random() < 0.6
    painted = []
    for order, place in enumerate(sample_placements(rng, _CLASS_SET, canvas.top.shape[0])):
        style = shared if alike else sample_paint_style(rng, bright)
        painted.append(_PaintedObject(place.kind, _paint_one(rng, canvas, place, style, colors), order))
        if style.hides:
            _set_topmost(canvas.top, painted[-1])
    return painted


def _paint_one(
    rng: Generator, canvas: Canvas, place: Placement, style: PaintStyle, colors: Palette
) -> Stencil:
    """Paint one object and return its mask and position."""
    shape = _rasterize(rng, place, style)
    shade = shade_surface(rng, shape.mask, style)
    first, second = _sample_ink(rng, style, colors), _sample_ink(rng, style, colors)
    inks = (first, ensure_contrast(first, second))
    paint_object(canvas, shape, shade, colors=inks, style=style)
    return shape


def _rasterize(rng: Generator, place: Placement, style: PaintStyle) -> Stencil:
    name, pad = SHAPE_CLASSES[place.kind], 2 + int(np.ceil(2 * style.blur * place.radius))
    if name in OUTLINE_SAMPLERS:
        return rasterize_stencil(rng, OUTLINE_SAMPLERS[name](rng), place, pad)
    shape = rasterize_stencil(rng, sample_region(rng), place, pad)
    field = _TEXTURE_CLASSES[name](rng, *shape.mask.shape)
    return shape._replace(inner=(np.clip(field * 127 + 128, 0, 255).astype(np.uint8),))


def _sample_ink(rng: Generator, style: PaintStyle, colors: Palette) -> Float32Array:
    """Sample the color to paint with: for a stain what it lets through, for a glow what it adds."""
    color = sample_object_color(rng, colors)
    if style.blend == "stain":
        return np.clip(color * 255 / np.maximum(colors.ground, 1), 50, 205).astype(np.float32)
    return np.clip(color - colors.ground, 25, 160) if style.blend == "glow" else color


def _clip_to_canvas(item: _PaintedObject, top: NDArray[np.int16]) -> tuple[slice, slice, NDArray[np.bool_]]:
    """Return the rows and columns of an object on the canvas, and its mask there."""
    mask, left, upper = item.stencil.mask, item.stencil.left, item.stencil.upper
    (height, width), (rows, columns) = mask.shape, top.shape
    y1, y2 = min(max(upper, 0), rows), max(min(upper + height, rows), 0)
    x1, x2 = min(max(left, 0), columns), max(min(left + width, columns), 0)
    inside = mask[y1 - upper : y2 - upper, x1 - left : x2 - left] > 127
    return slice(y1, y2), slice(x1, x2), inside


def _set_topmost(top: NDArray[np.int16], item: _PaintedObject) -> None:
    rows, columns, inside = _clip_to_canvas(item, top)
    top[rows, columns][inside] = item.order


def _build_labels(
    painted: list[_PaintedObject], top: NDArray[np.int16]
) -> tuple[Float32Array, NDArray[np.int64], list[Float32Array]]:
    """Return boxes, classes and outlines of the objects that are visible enough."""
    boxes, classes, polygons = [], [], []
    for item in painted:
        rows, columns, inside = _clip_to_canvas(item, top)
        visible = inside & (top[rows, columns] <= item.order)
        if visible.sum() < max(_MIN_VISIBLE * (item.stencil.mask > 127).sum(), _MIN_AREA):
            continue
        corner = to_float32([columns.start, rows.start])
        box = tight_box(visible) + np.tile(corner, 2)
        if min(box[2] - box[0], box[3] - box[1]) < _MIN_SIDE:
            continue
        boxes.append(box)
        classes.append(item.kind)
        polygons.append(_trace_outline(visible) + corner)
    return np.asarray(boxes, np.float32).reshape(-1, 4), np.asarray(classes, np.int64), polygons


def _trace_outline(visible: NDArray[np.bool_]) -> Float32Array:
    """Return the outline (k, 2) of the largest piece, through the centers of its border pixels.

    A piece that is one pixel thin would have no area; its box is returned.
    """
    pieces, _ = cv2.findContours(visible.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    largest = max(pieces, key=cv2.contourArea)
    if len(largest) < 3:
        x, y, width, height = cv2.boundingRect(largest)
        return build_rectangle(x, y, x + width, y + height)
    return np.asarray(largest, np.float32).reshape(-1, 2) + np.float32(0.5)
