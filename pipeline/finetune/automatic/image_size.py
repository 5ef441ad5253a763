"""Choose the size that images are trained at by the size of their objects (finetune.imgsz=auto).

The finest stride of YOLO's heads is 8 pixels: an object below that is in less than one of its cells, and one
of 16 pixels covers two by two of them. COCO calls objects below 32 pixels small, AI-TOD those below 16 tiny;
in both, boxes below 8 pixels are hardly found. So an image need be no larger than what gives nine of ten
objects 16 pixels. Above 640 pixels, for which the base weights were made, time and memory grow with the area:
a larger size is chosen only where one object in ten would be below 8 pixels. What the limits are worth in mAP
has still to be measured.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from pipeline.config.automatic import Automatic
from pipeline.core.arrays import FloatArray
from pipeline.core.tasks import Task

IMAGE_SIZES: Final = (320, 416, 512, 640, 800, 960, 1280)
"""The sizes to choose from, in pixels: multiples of 32, the largest stride."""
USUAL_SIZE: Final = 640
"""The size that the official weights were trained at: a larger one needs a reason."""
CLASSIFY_SIZE: Final = 224
"""Ultralytics' default size for classify, where the whole image is the object."""
ENOUGH_PIXELS: Final = 16.0
"""The size of an object that is large enough: two cells of the finest stride."""
LEAST_PIXELS: Final = 8.0
"""The size of an object that can be found at all: one cell of the finest stride."""
SMALL_SHARE: Final = 0.1
"""The share of the objects that may be smaller than that."""
LARGE_IMAGE_SHARE: Final = 0.9
"""The largest share of the images that may be enlarged beyond their own pixels."""
_MIN_SIZE: Final = 64
_STRIDE: Final = 32


class ImageSizeChoice(NamedTuple):
    """The size that images are trained at.

    Attributes:
        pixels: Of the longer side, a multiple of 32.
        reason: Why it is this one, a part of a sentence.
    """

    pixels: int
    reason: str


def choose_image_size(object_shares: FloatArray, image_sides: FloatArray) -> ImageSizeChoice:
    """Choose the smallest size at which nine of ten objects are large enough.

    Args:
        object_shares: (n,) the square root of each object's area, as a share (0..1) of the longer side of its
            image; n may be 0.
        image_sides: (m,) the longer side of each image in pixels, m at least 1.
    """
    limit = _find_limit(image_sides)
    sizes = [size for size in IMAGE_SIZES if size < limit] + [min(limit, IMAGE_SIZES[-1])]
    if not len(object_shares):
        pixels = max(size for size in sizes if size <= max(USUAL_SIZE, sizes[0]))
        return ImageSizeChoice(pixels, "there are no objects to choose it by")
    small = float(np.quantile(object_shares, SMALL_SHARE))
    pixels = _choose_size(sizes, small)
    return ImageSizeChoice(pixels, _explain_choice(pixels, small, is_largest=pixels == sizes[-1]))


def choose_classify_size(image_sides: FloatArray) -> ImageSizeChoice:
    """Choose Ultralytics' size for classify, or that of smaller images; (m,) longer sides in pixels."""
    limit = _find_limit(image_sides)
    if limit < CLASSIFY_SIZE:
        return ImageSizeChoice(limit, "the images are no larger")
    return ImageSizeChoice(CLASSIFY_SIZE, "it is the usual size for classify")


def remark_on_classify_size(task: Task, imgsz: int | Automatic) -> list[str]:
    """Return a sentence if images are classified at the usual size for detection, or the other way round."""
    if task != "classify" and imgsz == CLASSIFY_SIZE:
        return [
            f"{CLASSIFY_SIZE} pixels are the usual size for classify, not for {task} (data.imgsz in "
            f"conf/data, or finetune.imgsz; {USUAL_SIZE} is usual)"
        ]
    if task != "classify" or imgsz != USUAL_SIZE:
        return []
    times = round((USUAL_SIZE / CLASSIFY_SIZE) ** 2)
    return [
        f"classify at {USUAL_SIZE} pixels takes about {times} times as long as at {CLASSIFY_SIZE}, the "
        f"default of Ultralytics (finetune.imgsz={CLASSIFY_SIZE})"
    ]


def _find_limit(image_sides: FloatArray) -> int:
    """Return the size beyond which nine of ten images would be enlarged, a multiple of 32."""
    side = float(np.quantile(image_sides, LARGE_IMAGE_SHARE, method="higher"))
    return max(_MIN_SIZE, int(-(-side // _STRIDE)) * _STRIDE)


def _choose_size(sizes: list[int], small: float) -> int:
    usual = [size for size in sizes if size <= USUAL_SIZE] or sizes[:1]
    for size in usual:
        if _measure(small, size) >= ENOUGH_PIXELS:
            return size
    large = [size for size in sizes if size >= usual[-1]]
    return next((size for size in large if _measure(small, size) >= LEAST_PIXELS), sizes[-1])


def _measure(share: float, size: int) -> float:
    """Return the pixels of an object at a size; rounded, because shares give 8 pixels as 7.999999."""
    return round(share * size, 3)


def _explain_choice(size: int, small: float, *, is_largest: bool) -> str:
    pixels = _measure(small, size)
    if pixels >= LEAST_PIXELS:
        return f"9 of 10 objects are at least {pixels:.0f} pixels large at it"
    most = "the images are no larger" if is_largest and size < IMAGE_SIZES[-1] else "no larger size is tried"
    return (
        f"1 of 10 objects is below {pixels:.1f} pixels even at it, and {most}; cutting the images into tiles "
        "would show such objects larger (evaluate.tile and `finetrack predict --tile` do so)"
    )
