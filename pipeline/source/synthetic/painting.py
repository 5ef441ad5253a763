"""Paint one object onto a canvas: shade its surface and blend it in."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from pipeline.core.arrays import Float32Array, ImageArray
from pipeline.source.synthetic.masks import Stencil
from pipeline.source.synthetic.textures import sample_texture


class Canvas(NamedTuple):
    """The image so far, and the topmost opaque object of each pixel.

    Attributes:
        image: Blue, green, red; height x width x 3, 0 to 255.
        top: Height x width; number of the topmost opaque object, -1 for background.
    """

    image: Float32Array
    top: NDArray[np.int16]


class PaintStyle(NamedTuple):
    """How an object is painted.

    Attributes:
        blend: over (paint), stain (absorbs light) or glow (adds light).
        opacity: 0 to 1.
        hollow: Transparency of the middle, 0 to 1.
        dome: Brightness of the middle relative to the border, -1 to 1.
        rim: Brightness of the border line, -1 to 1.
        rough: Strength of the surface texture.
        light: Strength of the light gradient across the object.
        angle: Direction of the light, in radians.
        blur: Standard deviation of the blur, as a fraction of the radius.
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
        """Whether the object hides what is below it."""
        return self.blend == "over" and self.opacity > 0.8 and self.hollow < 0.3


class Shading(NamedTuple):
    """Brightness of each pixel of an object, about -1 to 1, and its opacity, 0 to 1."""

    tone: Float32Array
    solid: Float32Array


def _sample_or_zero(rng: Generator, chance: float, low: float, high: float) -> float:
    return rng.uniform(low, high) if rng.random() < chance else 0.0


def sample_paint_style(rng: Generator, bright: bool) -> PaintStyle:
    """Sample how an object is painted; stain needs a bright background and glow a dark one."""
    blend = "over" if rng.random() < 0.72 else "stain" if bright else "glow"
    return PaintStyle(
        blend=blend,
        opacity=1.0 if rng.random() < 0.6 else rng.uniform(0.55, 0.95),
        hollow=_sample_or_zero(rng, 0.18, 0.4, 0.9),
        dome=_sample_or_zero(rng, 0.55, -0.7, 0.7),
        rim=_sample_or_zero(rng, 0.35, -0.8, 0.8),
        rough=_sample_or_zero(rng, 0.5, 0.05, 0.4),
        light=_sample_or_zero(rng, 0.5, 0.1, 0.6),
        angle=rng.random() * 2 * np.pi,
        blur=_sample_or_zero(rng, 0.25, 0.03, 0.16),
        shadow=_sample_or_zero(rng, 0.25, 0.2, 0.6) if blend == "over" else 0.0,
    )


def shade_surface(rng: Generator, mask: ImageArray, style: PaintStyle) -> Shading:
    """Compute brightness and opacity of an object from its mask and style."""
    solid = mask.astype(np.float32) * np.float32(style.opacity / 255)
    height, width = mask.shape
    tone = np.zeros((height, width), np.float32)
    if style.dome or style.rim or style.hollow:
        depth = np.asarray(cv2.distanceTransform((mask > 127).astype(np.uint8), cv2.DIST_L2, 3), np.float32)
        border = np.exp(depth * np.float32(-12.0 / max(width, 24)))
        middle = np.sqrt(depth * np.float32(1 / max(float(depth.max()), 1.0)))
        tone += np.float32(style.dome) * (middle - np.float32(0.5)) + np.float32(style.rim) * border
        solid *= 1 - np.float32(style.hollow) * (1 - border)
    if style.light:
        x = np.linspace(-1, 1, width, dtype=np.float32)[None] * np.float32(np.cos(style.angle))
        y = np.linspace(-1, 1, height, dtype=np.float32)[:, None] * np.float32(np.sin(style.angle))
        tone += np.float32(style.light) * (x + y)
    if style.rough:
        tone += np.float32(style.rough) * sample_texture(rng, height, width)
    return Shading(tone, solid)


def _find_overlap(
    canvas: Canvas, patch: ImageArray | Float32Array, left: int, upper: int
) -> tuple[slice, slice, slice, slice]:
    """Return the rows and columns of the canvas and of the patch where the two overlap."""
    height, width = canvas.top.shape
    y1, y2 = max(upper, 0), max(min(upper + patch.shape[0], height), 0)
    x1, x2 = max(left, 0), max(min(left + patch.shape[1], width), 0)
    return slice(y1, y2), slice(x1, x2), slice(y1 - upper, y2 - upper), slice(x1 - left, x2 - left)


def _blend(
    canvas: Canvas, ink: Float32Array, solid: Float32Array, style: PaintStyle, corner: tuple[int, int]
) -> None:
    """Blend a patch into the canvas: paint over, absorb light or add light."""
    rows, columns, patch_rows, patch_columns = _find_overlap(canvas, solid, *corner)
    below = canvas.image[rows, columns]
    above, weight = ink[patch_rows, patch_columns], solid[patch_rows, patch_columns, None]
    if style.blend == "over":
        below += (above - below) * weight
    elif style.blend == "stain":
        below *= 1 - weight * (1 - np.clip(above / 255, 0.05, 1))
    else:
        below += weight * np.maximum(above, 0)


def _cast_shadow(canvas: Canvas, stencil: Stencil, radius: float, style: PaintStyle) -> None:
    """Darken the background beside an object, on the side away from the light."""
    reach = float(np.clip(0.16 * radius, 1.5, 9))
    soft = cv2.blur(stencil.mask, (5, 5)).astype(np.float32) * np.float32(style.shadow / 255)
    left = stencil.left - round(reach * float(np.cos(style.angle)))
    upper = stencil.upper - round(reach * float(np.sin(style.angle)))
    rows, columns, patch_rows, patch_columns = _find_overlap(canvas, soft, left, upper)
    canvas.image[rows, columns] *= 1 - soft[patch_rows, patch_columns, None]


def _color_patch(
    tone: Float32Array, stencil: Stencil, colors: tuple[Float32Array, Float32Array]
) -> Float32Array:
    """Color a patch: the first color for the body, both colors in turn for the inner parts."""
    ink = np.broadcast_to(colors[0], (*tone.shape, 3)).copy()
    for i, part in enumerate(stencil.inner):
        ink += (colors[(i + 1) % 2] - ink) * (part.astype(np.float32) / 255)[..., None]
    return ink + tone[..., None] * 80


def paint_object(
    canvas: Canvas,
    stencil: Stencil,
    shade: Shading,
    *,
    colors: tuple[Float32Array, Float32Array],
    style: PaintStyle,
) -> None:
    """Paint one object onto the canvas: its shadow, then the object."""
    radius, solid = stencil.mask.shape[0] / 2, shade.solid
    if style.shadow:
        _cast_shadow(canvas, stencil, radius, style)
    if style.blur:
        sigma = float(np.clip(style.blur * radius, 0.5, 5))
        solid = np.asarray(cv2.GaussianBlur(solid, (0, 0), sigma), np.float32)
    _blend(canvas, _color_patch(shade.tone, stencil, colors), solid, style, (stencil.left, stencil.upper))
