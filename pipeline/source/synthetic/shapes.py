"""Draw the pictures that the foundation model learns from: thirty classes of shapes and textures.

No photograph is involved. What should transfer to real images is varied instead: size, crowding,
occlusion, transparency, focus, light, texture, contrast between object and ground, and the camera.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from pipeline.core.arrays import Float32Array
from pipeline.source.synthetic import background, camera, outlines, painting, palette, placement, textures
from pipeline.source.synthetic import masks as drawing_stencil
from pipeline.source.synthetic.masks import Stencil
from pipeline.source.synthetic.outlines import ShapeOutline
from pipeline.source.synthetic.painting import Canvas, PaintStyle
from pipeline.source.synthetic.palette import Palette
from pipeline.source.synthetic.picture import DrawnImage, floats
from pipeline.source.synthetic.placement import ClassSet, Placement
from pipeline.source.synthetic.textures import Texture

_SHAPES: dict[str, Callable[[Generator], ShapeOutline]] = {
    "disc": outlines.disc,
    "ring": outlines.ring,
    "ellipse": outlines.ellipse,
    "blob": outlines.blob,
    "cell": outlines.cell,
    "bean": outlines.bean,
    "crescent": outlines.crescent,
    "drop": outlines.drop,
    "triangle": outlines.triangle,
    "rectangle": outlines.rectangle,
    "polygon": outlines.polygon,
    "star": outlines.star,
    "cross": outlines.cross,
    "arrow": outlines.arrow,
    "chevron": outlines.chevron,
    "gear": outlines.gear,
    "flower": outlines.flower,
    "wedge": outlines.wedge,
    "frame": outlines.frame,
    "dumbbell": outlines.dumbbell,
    "cluster": outlines.cluster,
    "target": outlines.target,
    "tube": outlines.tube,
    "spiral": outlines.spiral,
    "lattice": outlines.lattice,
    "glyph": outlines.glyph,
}

# Regions whose texture makes the class: an outline alone would not teach texture.
_TEXTURES: dict[str, Texture] = {
    "striped": textures.stripes,
    "dotted": textures.dots,
    "checkered": textures.checker,
    "marbled": textures.marble,
}

CLASSES: tuple[str, ...] = (*_SHAPES, *_TEXTURES)

_PLAIN = ("disc", "ring", "ellipse", "blob", "crescent", "drop", "triangle", "rectangle", "star", "cross")
_KINDS = ClassSet(len(CLASSES), tuple(CLASSES.index(name) for name in _PLAIN))

_LEAST_VISIBLE = 0.25  # part of an object's area that must be seen for it to be labelled
_LEAST_SIDE = 4  # pixels of a box's shorter side
_LEAST_AREA = 12  # visible pixels


class _Mark(NamedTuple):
    """An object on the canvas, kept to find out in the end what is visible of it."""

    kind: int
    stencil: Stencil
    order: int


def draw(index: int, *, seed: int, pixels: int) -> DrawnImage:
    """Draw one picture; the same arguments give the same picture, whatever was drawn before.

    Args:
        index: Which picture, 0 or more.
        seed: Which series of pictures.
        pixels: Side of the square picture, 64 or more.
    """
    rng = np.random.default_rng([seed, index])
    colours = palette.mix(rng)
    image = background.ground(rng, colours, pixels)
    canvas = Canvas(image, np.full((pixels, pixels), -1, np.int16))
    background.litter(rng, image, colours)
    marks = _populate(rng, canvas, colours)
    if rng.random() < 0.3:
        background.litter(rng, image, colours)
    boxes, classes, polygons = _label(marks, canvas.top)
    return DrawnImage(camera.shoot(rng, image), boxes, classes, polygons)


def _populate(rng: Generator, canvas: Canvas, colours: Palette) -> list[_Mark]:
    """Paint the objects of one scene; in most scenes they are painted alike."""
    bright = float(colours.ground.mean()) > 110
    shared, alike = painting.look(rng, bright), rng.random() < 0.6
    marks = []
    for order, place in enumerate(placement.arrange(rng, _KINDS, canvas.top.shape[0])):
        look = shared if alike else painting.look(rng, bright)
        marks.append(_Mark(place.kind, _put(rng, canvas, place, look, colours), order))
        if look.hides:
            _hide(canvas.top, marks[-1])
    return marks


def _put(rng: Generator, canvas: Canvas, place: Placement, look: PaintStyle, colours: Palette) -> Stencil:
    """Paint one object and return where it lies."""
    shape = _cut(rng, place, look)
    shade = painting.shade(rng, shape.mask, look)
    first, second = _ink(rng, look, colours), _ink(rng, look, colours)
    inks = (first, palette.contrast(first, second))
    painting.paint(canvas, shape, shade, colours=inks, look=look)
    return shape


def _cut(rng: Generator, place: Placement, look: PaintStyle) -> Stencil:
    name, pad = CLASSES[place.kind], 2 + int(np.ceil(2 * look.blur * place.radius))
    if name in _SHAPES:
        return drawing_stencil.cut(rng, _SHAPES[name](rng), place, pad)
    shape = drawing_stencil.cut(rng, outlines.patch(rng), place, pad)
    field = _TEXTURES[name](rng, *shape.mask.shape)
    return shape._replace(inner=(np.clip(field * 127 + 128, 0, 255).astype(np.uint8),))


def _ink(rng: Generator, look: PaintStyle, colours: Palette) -> Float32Array:
    """Return a colour to paint with, or what a stain lets through, or what a glow adds."""
    colour = palette.pick(rng, colours)
    if look.blend == "stain":
        return np.clip(colour * 255 / np.maximum(colours.ground, 1), 50, 205).astype(np.float32)
    return np.clip(colour - colours.ground, 25, 160) if look.blend == "glow" else colour


def _window(mark: _Mark, top: NDArray[np.int16]) -> tuple[slice, slice, NDArray[np.bool_]]:
    """Return the rows and columns of an object on the canvas, and its mask there."""
    mask, left, upper = mark.stencil.mask, mark.stencil.left, mark.stencil.upper
    (height, width), (rows, columns) = mask.shape, top.shape
    y1, y2 = min(max(upper, 0), rows), max(min(upper + height, rows), 0)
    x1, x2 = min(max(left, 0), columns), max(min(left + width, columns), 0)
    inside = mask[y1 - upper : y2 - upper, x1 - left : x2 - left] > 127
    return slice(y1, y2), slice(x1, x2), inside


def _hide(top: NDArray[np.int16], mark: _Mark) -> None:
    rows, columns, inside = _window(mark, top)
    top[rows, columns][inside] = mark.order


def _label(
    marks: list[_Mark], top: NDArray[np.int16]
) -> tuple[Float32Array, NDArray[np.int64], list[Float32Array]]:
    """Return boxes, classes and outlines of the objects that are visible enough."""
    boxes, classes, polygons = [], [], []
    for mark in marks:
        rows, columns, inside = _window(mark, top)
        visible = inside & (top[rows, columns] <= mark.order)
        if visible.sum() < max(_LEAST_VISIBLE * (mark.stencil.mask > 127).sum(), _LEAST_AREA):
            continue
        corner = floats([columns.start, rows.start])
        box = _box(visible) + np.tile(corner, 2)
        if min(box[2] - box[0], box[3] - box[1]) < _LEAST_SIDE:
            continue
        boxes.append(box)
        classes.append(mark.kind)
        polygons.append(_outline(visible) + corner)
    return np.asarray(boxes, np.float32).reshape(-1, 4), np.asarray(classes, np.int64), polygons


def _box(visible: NDArray[np.bool_]) -> Float32Array:
    rows, columns = np.flatnonzero(visible.any(1)), np.flatnonzero(visible.any(0))
    return floats([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1])


def _outline(visible: NDArray[np.bool_]) -> Float32Array:
    """Return the outline of the largest piece, through the centres of its border pixels.

    A piece one pixel thin has no area that way; its box stands for it.
    """
    pieces, _ = cv2.findContours(visible.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    largest = max(pieces, key=cv2.contourArea)
    if len(largest) < 3:
        x, y, width, height = cv2.boundingRect(largest)
        return outlines.slab(x, y, x + width, y + height)
    return np.asarray(largest, np.float32).reshape(-1, 2) + np.float32(0.5)
