"""Paint one object on a canvas: shade its stencil, blend it in."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from pipeline.core.arrays import Float32Array, ImageArray
from pipeline.source.synthetic import textures
from pipeline.source.synthetic.masks import Stencil


class Canvas(NamedTuple):
    """The picture so far, and for each pixel the number of the last object that hides it.

    Attributes:
        image: Blue, green, red; height x width x 3, 0 to 255.
        top: Height x width; -1 where nothing hides the ground.
    """

    image: Float32Array
    top: NDArray[np.int16]


class PaintStyle(NamedTuple):
    """How an object is painted.

    Attributes:
        blend: over (paint), stain (absorbs light) or glow (adds light).
        opacity: 0 to 1.
        hollow: How transparent the middle is, 0 to 1.
        dome: Shade of the middle against the border, -1 to 1.
        rim: Shade of the border line, -1 to 1.
        rough: Strength of the surface's texture.
        light: Strength of the light across the object.
        angle: Where the light comes from, in radians.
        blur: Out of focus, in parts of the radius.
        shadow: Darkness of the shadow, 0 to 1.
    """

    blend: str
    opacity: float
    hollow: float
    dome: float
    rim: float
    rough: float
    light: float
    angle: float
    blur: float
    shadow: float

    @property
    def hides(self) -> bool:
        """Tell whether what lies below cannot be seen any more."""
        return self.blend == "over" and self.opacity > 0.8 and self.hollow < 0.3


class Shading(NamedTuple):
    """How light each pixel of an object is, about -1 to 1, and how opaque, 0 to 1."""

    tone: Float32Array
    solid: Float32Array


def _sometimes(rng: Generator, chance: float, low: float, high: float) -> float:
    return rng.uniform(low, high) if rng.random() < chance else 0.0


def look(rng: Generator, bright: bool) -> PaintStyle:
    """Return one way to paint; stains need a bright ground and glows a dark one."""
    blend = "over" if rng.random() < 0.72 else "stain" if bright else "glow"
    return PaintStyle(
        blend=blend,
        opacity=1.0 if rng.random() < 0.6 else rng.uniform(0.55, 0.95),
        hollow=_sometimes(rng, 0.18, 0.4, 0.9),
        dome=_sometimes(rng, 0.55, -0.7, 0.7),
        rim=_sometimes(rng, 0.35, -0.8, 0.8),
        rough=_sometimes(rng, 0.5, 0.05, 0.4),
        light=_sometimes(rng, 0.5, 0.1, 0.6),
        angle=rng.random() * 2 * np.pi,
        blur=_sometimes(rng, 0.25, 0.03, 0.16),
        shadow=_sometimes(rng, 0.25, 0.2, 0.6) if blend == "over" else 0.0,
    )


def shade(rng: Generator, mask: ImageArray, look: PaintStyle) -> Shading:
    """Light and texture the surface of an object; its border may be darker, its middle transparent."""
    solid = mask.astype(np.float32) * np.float32(look.opacity / 255)
    height, width = mask.shape
    tone = np.zeros((height, width), np.float32)
    if look.dome or look.rim or look.hollow:
        depth = np.asarray(cv2.distanceTransform((mask > 127).astype(np.uint8), cv2.DIST_L2, 3), np.float32)
        border = np.exp(depth * np.float32(-12.0 / max(width, 24)))
        middle = np.sqrt(depth * np.float32(1 / max(float(depth.max()), 1.0)))
        tone += np.float32(look.dome) * (middle - np.float32(0.5)) + np.float32(look.rim) * border
        solid *= 1 - np.float32(look.hollow) * (1 - border)
    if look.light:
        x = np.linspace(-1, 1, width, dtype=np.float32)[None] * np.float32(np.cos(look.angle))
        y = np.linspace(-1, 1, height, dtype=np.float32)[:, None] * np.float32(np.sin(look.angle))
        tone += np.float32(look.light) * (x + y)
    if look.rough:
        tone += np.float32(look.rough) * textures.surface(rng, height, width)
    return Shading(tone, solid)


def _overlap(
    canvas: Canvas, patch: ImageArray | Float32Array, left: int, upper: int
) -> tuple[slice, slice, slice, slice]:
    """Return rows and columns of the canvas and of the patch where the two meet."""
    height, width = canvas.top.shape
    y1, y2 = max(upper, 0), max(min(upper + patch.shape[0], height), 0)
    x1, x2 = max(left, 0), max(min(left + patch.shape[1], width), 0)
    return slice(y1, y2), slice(x1, x2), slice(y1 - upper, y2 - upper), slice(x1 - left, x2 - left)


def _blend(
    canvas: Canvas, ink: Float32Array, solid: Float32Array, look: PaintStyle, corner: tuple[int, int]
) -> None:
    """Blend a patch of ink into the canvas: paint over, absorb or add light."""
    rows, columns, patch_rows, patch_columns = _overlap(canvas, solid, *corner)
    below = canvas.image[rows, columns]
    above, weight = ink[patch_rows, patch_columns], solid[patch_rows, patch_columns, None]
    if look.blend == "over":
        below += (above - below) * weight
    elif look.blend == "stain":
        below *= 1 - weight * (1 - np.clip(above / 255, 0.05, 1))
    else:
        below += weight * np.maximum(above, 0)


def _cast_shadow(canvas: Canvas, stencil: Stencil, radius: float, look: PaintStyle) -> None:
    """Darken the ground beside an object, away from the light."""
    reach = float(np.clip(0.16 * radius, 1.5, 9))
    soft = cv2.blur(stencil.mask, (5, 5)).astype(np.float32) * np.float32(look.shadow / 255)
    left = stencil.left - round(reach * float(np.cos(look.angle)))
    upper = stencil.upper - round(reach * float(np.sin(look.angle)))
    rows, columns, patch_rows, patch_columns = _overlap(canvas, soft, left, upper)
    canvas.image[rows, columns] *= 1 - soft[patch_rows, patch_columns, None]


def _ink(tone: Float32Array, stencil: Stencil, colours: tuple[Float32Array, Float32Array]) -> Float32Array:
    """Colour a patch: the first colour for the body, both in turn for the inner parts."""
    ink = np.broadcast_to(colours[0], (*tone.shape, 3)).copy()
    for i, part in enumerate(stencil.inner):
        ink += (colours[(i + 1) % 2] - ink) * (part.astype(np.float32) / 255)[..., None]
    return ink + tone[..., None] * 80


def paint(
    canvas: Canvas,
    stencil: Stencil,
    shade: Shading,
    *,
    colours: tuple[Float32Array, Float32Array],
    look: PaintStyle,
) -> None:
    """Paint one object: its shadow, then itself."""
    radius, solid = stencil.mask.shape[0] / 2, shade.solid
    if look.shadow:
        _cast_shadow(canvas, stencil, radius, look)
    if look.blur:
        sigma = float(np.clip(look.blur * radius, 0.5, 5))
        solid = np.asarray(cv2.GaussianBlur(solid, (0, 0), sigma), np.float32)
    _blend(canvas, _ink(shade.tone, stencil, colours), solid, look, (stencil.left, stencil.upper))
