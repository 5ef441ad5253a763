"""What is drawn by lot for each train image of an epoch: mosaic, warp, flips, colours; all images at once.

The rules are those of Ultralytics' transforms (ultralytics/data/augment.py), which draw an image at a time.
A canvas is a mosaic of four images, twice the output's side, or one image as it is; a matrix takes its pixels
to the output.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from pipeline.core.arrays import BoolArray, FloatArray, IntArray


@dataclass(frozen=True)
class BatchRanges:
    """What is drawn from.

    Args:
        side: Of the output, in pixels.
        mosaic: Chance of a mosaic.
        scale: From, to.
        gains: Hue, saturation, value: +/- share.
        degrees: +/-.
        translate: +/- share of the side.
        shear: +/- degrees, along either axis.
        perspective: +/-.
        fliplr: Chance of a left-right flip.
        flipud: Chance of an up-down flip.
        bgr: Chance that channels come in the order of OpenCV.
    """

    side: int
    mosaic: float = 0.0
    scale: tuple[float, float] = (1.0, 1.0)
    gains: tuple[float, float, float] = (0.0, 0.0, 0.0)
    degrees: float = 0.0
    translate: float = 0.0
    shear: float = 0.0
    perspective: float = 0.0
    fliplr: float = 0.0
    flipud: float = 0.0
    bgr: float = 0.0


class WarpParameters(NamedTuple):
    """How n canvases are seen.

    Args:
        tilt: (n, 2) perspective, about y and about x.
        angle: (n,) radians.
        zoom: (n,).
        lean: (n, 2) radians of shear, along x and along y.
        shift: (n, 2) where the canvas's centre comes to lie, in pixels.
    """

    tilt: FloatArray
    angle: FloatArray
    zoom: FloatArray
    lean: FloatArray
    shift: FloatArray


class BatchParameters(NamedTuple):
    """What was drawn for n images.

    Args:
        sources: (n, 4) the image and the three others of its mosaic.
        mosaic: (n,) whether there is one.
        centre: (n, 2) where the four meet, x and y on the canvas.
        matrix: (n, 3, 3) canvas to output, before the flips.
        zoom: (n,) the zoom in it.
        flips: (n, 2) left-right, up-down.
        gains: (n, 3) of hue, saturation and value, -1..1.
        bgr: (n,) whether channels keep OpenCV's order.
    """

    sources: IntArray
    mosaic: BoolArray
    centre: IntArray
    matrix: FloatArray
    zoom: FloatArray
    flips: BoolArray
    gains: FloatArray
    bgr: BoolArray

    def rows(self, which: slice) -> BatchParameters:
        """Return some of them."""
        parts: list[Any] = [part[which] for part in self]
        return BatchParameters(*parts)


def draw(order: IntArray, sizes: IntArray, ranges: BatchRanges, rng: np.random.Generator) -> BatchParameters:
    """Draw for each image of an epoch.

    Args:
        order: (n,) the images.
        sizes: (images, 2) width and height of all there are.
        ranges: What to draw from.
        rng: Where random numbers come from.
    """
    count, side = len(order), ranges.side
    mosaic = rng.random(count) < ranges.mosaic
    others = rng.integers(0, len(sizes), (count, 3))
    low = -side // 2  # as Ultralytics has it: the centre lies in the middle half, rounded towards 0
    centre = rng.uniform(-low, 2 * side + low, (count, 2)).astype(np.int64)
    warp = WarpParameters(
        tilt=rng.uniform(-ranges.perspective, ranges.perspective, (count, 2)),
        angle=np.deg2rad(rng.uniform(-ranges.degrees, ranges.degrees, count)),
        zoom=rng.uniform(*ranges.scale, count),
        lean=np.deg2rad(rng.uniform(-ranges.shear, ranges.shear, (count, 2))),
        shift=rng.uniform(0.5 - ranges.translate, 0.5 + ranges.translate, (count, 2)) * side,
    )
    return BatchParameters(
        sources=np.concatenate([order[:, None], others], axis=1),
        mosaic=mosaic,
        centre=centre,
        matrix=matrix(np.where(mosaic[:, None], 2 * side, sizes[order]), warp),
        zoom=warp.zoom,
        flips=rng.random((count, 2)) < (ranges.fliplr, ranges.flipud),
        gains=rng.uniform(-1, 1, (count, 3)) * ranges.gains,
        bgr=rng.random(count) < ranges.bgr,
    )


def matrix(canvas: IntArray, warp: WarpParameters) -> FloatArray:
    """Return the matrices (n, 3, 3) from canvases to outputs.

    Args:
        canvas: (n, 2) width and height.
        warp: What was drawn.
    """
    centring, tilt, turn, lean, shift = (np.tile(np.eye(3), (len(canvas), 1, 1)) for _ in range(5))
    centring[:, :2, 2] = -canvas / 2
    tilt[:, 2, :2] = warp.tilt
    turn[:, 0, 0] = turn[:, 1, 1] = warp.zoom * np.cos(warp.angle)
    turn[:, 0, 1] = warp.zoom * np.sin(warp.angle)
    turn[:, 1, 0] = -turn[:, 0, 1]
    lean[:, 0, 1], lean[:, 1, 0] = np.tan(warp.lean).T
    shift[:, :2, 2] = warp.shift
    found: FloatArray = shift @ lean @ turn @ tilt @ centring
    return found
