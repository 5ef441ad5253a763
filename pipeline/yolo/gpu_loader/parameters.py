"""Random augmentation parameters of all train images of an epoch at once: mosaic, warp, flips, colors.

The rules are those of Ultralytics' transforms (ultralytics/data/augment.py), which draw for one image at a
time. A canvas is a mosaic of four images, twice the side of the output, or one image without a mosaic. A
matrix maps pixels of the canvas to pixels of the output.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from pipeline.core.arrays import BoolArray, FloatArray, IntArray


@dataclass(frozen=True)
class BatchRanges:
    """The ranges of the random parameters.

    Args:
        side: Side of the output, in pixels.
        mosaic: Probability of a mosaic.
        scale: Lowest and highest factor.
        gains: Of hue, saturation, value: +/- share.
        degrees: +/-.
        translate: +/- share of the side.
        shear: +/- degrees, along either axis.
        perspective: +/-.
        fliplr: Probability of a left-right flip.
        flipud: Probability of an up-down flip.
        bgr: Probability that channels keep OpenCV's order.
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
    """The warps of n canvases.

    Args:
        perspective: (n, 2) about y and about x.
        angle: (n,) radians.
        scale: (n,).
        shear: (n, 2) radians, along x and along y.
        shift: (n, 2) position of the canvas's center in the output, in pixels.
    """

    perspective: FloatArray
    angle: FloatArray
    scale: FloatArray
    shear: FloatArray
    shift: FloatArray


class BatchParameters(NamedTuple):
    """The random parameters of n images.

    Args:
        sources: (n, 4) indices of the image and of the three others of its mosaic.
        mosaic: (n,) whether there is a mosaic.
        center: (n, 2) the point where the four images meet, x and y on the canvas.
        matrix: (n, 3, 3) canvas to output, before the flips.
        scale: (n,) the scale in that matrix.
        flips: (n, 2) left-right, up-down.
        gains: (n, 3) of hue, saturation and value, -1..1.
        bgr: (n,) whether channels keep OpenCV's order.
    """

    sources: IntArray
    mosaic: BoolArray
    center: IntArray
    matrix: FloatArray
    scale: FloatArray
    flips: BoolArray
    gains: FloatArray
    bgr: BoolArray

    def select_rows(self, rows: slice) -> BatchParameters:
        """Return the parameters of some of the images."""
        parts: list[Any] = [part[rows] for part in self]
        return BatchParameters(*parts)


def draw_parameters(
    order: IntArray, sizes: IntArray, ranges: BatchRanges, rng: np.random.Generator
) -> BatchParameters:
    """Draw the parameters of each image of an epoch.

    Args:
        order: (n,) indices of the images.
        sizes: (images, 2) width and height of all images.
        ranges: The ranges to draw from.
        rng: The random generator.
    """
    count, side = len(order), ranges.side
    mosaic = rng.random(count) < ranges.mosaic
    others = rng.integers(0, len(sizes), (count, 3))
    low = -side // 2  # as in Ultralytics: the center is in the middle half, rounded towards 0
    center = rng.uniform(-low, 2 * side + low, (count, 2)).astype(np.int64)
    warp = WarpParameters(
        perspective=rng.uniform(-ranges.perspective, ranges.perspective, (count, 2)),
        angle=np.deg2rad(rng.uniform(-ranges.degrees, ranges.degrees, count)),
        scale=rng.uniform(*ranges.scale, count),
        shear=np.deg2rad(rng.uniform(-ranges.shear, ranges.shear, (count, 2))),
        shift=rng.uniform(0.5 - ranges.translate, 0.5 + ranges.translate, (count, 2)) * side,
    )
    return BatchParameters(
        sources=np.concatenate([order[:, None], others], axis=1),
        mosaic=mosaic,
        center=center,
        matrix=build_matrices(np.where(mosaic[:, None], 2 * side, sizes[order]), warp),
        scale=warp.scale,
        flips=rng.random((count, 2)) < (ranges.fliplr, ranges.flipud),
        gains=rng.uniform(-1, 1, (count, 3)) * ranges.gains,
        bgr=rng.random(count) < ranges.bgr,
    )


def build_matrices(canvas: IntArray, warp: WarpParameters) -> FloatArray:
    """Build the matrices (n, 3, 3) from canvases to outputs.

    Args:
        canvas: (n, 2) width and height.
        warp: The warps.
    """
    centering, perspective, rotation, shear, shift = (
        np.tile(np.eye(3), (len(canvas), 1, 1)) for _ in range(5)
    )
    centering[:, :2, 2] = -canvas / 2
    perspective[:, 2, :2] = warp.perspective
    rotation[:, 0, 0] = rotation[:, 1, 1] = warp.scale * np.cos(warp.angle)
    rotation[:, 0, 1] = warp.scale * np.sin(warp.angle)
    rotation[:, 1, 0] = -rotation[:, 0, 1]
    shear[:, 0, 1], shear[:, 1, 0] = np.tan(warp.shear).T
    shift[:, :2, 2] = warp.shift
    matrices: FloatArray = shift @ shear @ rotation @ perspective @ centering
    return matrices
