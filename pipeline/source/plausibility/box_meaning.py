"""Check that the four numbers of a box mean what the format says, by the sizes of the images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Literal, NamedTuple

import numpy as np

from pipeline.core.arrays import BoolArray, FloatArray
from pipeline.core.errors import UserError
from pipeline.core.text import format_count
from pipeline.source.plausibility.image_sizes import choose_evenly, read_displayed_size
from pipeline.source.reading.class_selection import scale_objects
from pipeline.source.types import AnnotatedImage, Source

BoxMeaning = Literal["corners", "extent", "centre"]

MAX_DOUBTFUL_SHARE: Final = 0.2
"""If more of the boxes would need the same repair, the format is probably misread."""
MIN_DOUBTFUL_BOXES: Final = 3
"""Fewer boxes show nothing about a format: they may be single mistakes."""
_MIN_EXPLAINED: Final = 0.95
_MIN_ORDERED_BOXES: Final = 10
"""So many boxes whose last two numbers all exceed the first two are corners, if some go beyond the image."""
_MIN_OUTSIDE: Final = 0.1
_TOLERANCE: Final = 0.02
"""Share of the image size by which annotators miss the edge of an image."""
_MAX_MEASURED_IMAGES: Final = 60
_MIN_SIDE: Final = 16
"""In smaller images, boxes of up to one pixel may be meant."""

_WORDS: Final[Mapping[str, str]] = {
    "corners": "x1 y1 x2 y2",
    "extent": "x y width height",
    "centre": "x and y of the centre, width, height",
    "exchanged": "y1 x1 y2 x2",
}
_SHARES: Final = "shares of the image size"
_PERCENT: Final = "percent of the image size"
_SHARE_CORNERS: Final = "x1 y1 x2 y2 in shares of the image size"
_CHANGED: Final[Mapping[str, str]] = {
    "shares": _SHARES,
    "percent": _PERCENT,
    "corners": _SHARE_CORNERS,
    "pixel_corners": "x1 y1 x2 y2 in pixels",
}
"""Values of data.labels other than pixels, and what they mean."""
_CHOICES: Final[Mapping[str, str]] = {
    _SHARES: "shares",
    _PERCENT: "percent",
    _SHARE_CORNERS: "corners",
    _WORDS["corners"]: "pixel_corners",
}
"""What boxes look like, and the value of data.labels that reads them so."""
_MAX_SHARE_OF_SIDE: Final = 2
PERCENT: Final = 100
_MANY_PERCENT: Final = 250
"""In images of this size or a larger one, objects everywhere have coordinates above 100."""


class StatedBoxes(NamedTuple):
    """Boxes as they are stated in a source.

    Attributes:
        numbers: (n, 4) four numbers of each box.
        sizes: (n, 2) width and height of its image, in the same unit.
    """

    numbers: FloatArray
    sizes: FloatArray


def read_boxes_as_stated(source: Source, meaning: BoxMeaning, policy: str) -> Source:
    """Convert boxes that were read as pixels to what data.labels says; auto: check that they fit.

    Args:
        source: A source as a reader returns it.
        meaning: What the four numbers were taken for.
        policy: As in data.labels.

    Raises:
        UserError: The boxes do not fit their images, or are not what data.labels says.
    """
    if policy not in _CHANGED or source.task == "classify":
        return refuse_misread_boxes(source, meaning, policy)
    images = tuple(_read_image(image, meaning, policy) for image in source.images)
    remark = f"boxes are read as {_CHANGED[policy]}: data.labels={policy}"
    read = source._replace(images=images, remarks=(*source.remarks, remark))
    return refuse_misread_boxes(read, meaning, policy)


def _read_image(image: AnnotatedImage, meaning: BoxMeaning, policy: str) -> AnnotatedImage:
    raw = image.raw
    if policy in {"corners", "pixel_corners"} and len(raw.boxes):
        are_plain = [not parts for parts in raw.outlines] or [True] * len(raw.boxes)
        stated = _state_boxes(raw.boxes, meaning)
        raw = raw._replace(boxes=np.where(np.array(are_plain)[:, None], stated, raw.boxes))
    if policy == "percent":
        raw = scale_objects(raw, 1 / PERCENT)
    return image._replace(raw=raw, normalized=image.normalized or policy != "pixel_corners")


def refuse_misread_boxes(source: Source, meaning: BoxMeaning, policy: str) -> Source:
    """Return the source, if the boxes fit their images.

    Args:
        source: A source as a reader returns it.
        meaning: What the four numbers were taken for.
        policy: As in data.labels; unless it is auto, the user has said what the numbers are.

    Raises:
        UserError: More than a fifth of the boxes are inverted, outside of the image, or shares of it; or they
            are said to be shares, and are not.
    """
    if source.task == "classify":
        return source
    if policy != "auto":
        boxes = [image.raw.boxes for image in source.images if image.normalized and len(image.raw.boxes)]
        refuse_large_shares(np.concatenate(boxes) if boxes else np.zeros((0, 4)), policy)
        return source
    stated = _collect_boxes(source.images, meaning)
    if stated is None:
        return source
    fault = _find_common_fault(stated, meaning)
    if fault and not _have_other_sizes(source.images):
        raise UserError(f"{fault} (if they are right, set data.labels=pixels)")
    return source


def refuse_large_shares(numbers: FloatArray, policy: str) -> None:
    """Stop if numbers (n, 4) that data.labels says to be shares or percent are far larger.

    Args:
        numbers: The numbers of each box; percent divided by 100.
        policy: As in data.labels.

    Raises:
        UserError: More than a fifth are.
    """
    large = np.asarray((np.abs(numbers) > _MAX_SHARE_OF_SIDE).any(axis=1), np.bool_)
    if _is_common(large):
        found = f"{int(large.sum())} of {format_count(len(large), 'box', 'boxes')}"
        raise UserError(
            f"data.labels={policy}, but {found} would end far outside of their image: the numbers are others"
        )


def _collect_boxes(images: Sequence[AnnotatedImage], meaning: BoxMeaning) -> StatedBoxes | None:
    """Collect the boxes of the images whose size is known; of a few images if the sizes must be measured."""
    used = [image for image in images if len(image.raw.boxes) and not image.fault]
    sized = [(image, (1, 1) if image.normalized else image.size) for image in used]
    if not any(size for _, size in sized):
        few = choose_evenly(used, _MAX_MEASURED_IMAGES)
        sized = [(image, read_displayed_size(image.path)) for image in few if image.load is None]
    known = [(image.raw.boxes, size) for image, size in sized if size]
    if not known:
        return None
    boxes = np.concatenate([found for found, _ in known])
    sizes = np.repeat([size for _, size in known], [len(found) for found, _ in known], axis=0)
    return StatedBoxes(_state_boxes(boxes, meaning), sizes.astype(np.float64))


def _state_boxes(boxes: FloatArray, meaning: BoxMeaning) -> FloatArray:
    """Convert x1 y1 x2 y2 back to the numbers that the source states."""
    start, end = boxes[:, :2], boxes[:, 2:]
    if meaning == "corners":
        return boxes
    first = start if meaning == "extent" else (start + end) / 2
    return np.concatenate([first, end - start], axis=1)


def read_as_corners(numbers: FloatArray, meaning: str) -> FloatArray:
    """Convert the numbers of boxes to x1 y1 x2 y2."""
    first, second = numbers[:, :2], numbers[:, 2:]
    if meaning == "exchanged":
        return numbers[:, [1, 0, 3, 2]]
    if meaning == "extent":
        return np.concatenate([first, first + second], axis=1)
    if meaning == "centre":
        return np.concatenate([first - second / 2, first + second / 2], axis=1)
    return numbers


def _find_common_fault(stated: StatedBoxes, meaning: BoxMeaning) -> str:
    """Return what is wrong with more than a fifth of the boxes, and what they look like; empty if nothing."""
    boxes = read_as_corners(stated.numbers, meaning)
    outside = _find_outside(boxes, stated.sizes)
    negative = "would be inverted" if meaning == "corners" else "would have a negative size"
    if _is_common(tiny := _find_shares(stated)):
        look = _SHARE_CORNERS if are_share_corners(stated.numbers, meaning) else _SHARES
        return _describe_fault(stated, tiny, f"would be smaller than a pixel as {_WORDS[meaning]}", look)
    if _are_percent(stated):
        every = np.ones(len(stated.numbers), np.bool_)
        return _describe_fault(stated, every, "would lie in the left top corner of large images", _PERCENT)
    if _is_common(inverted := _find_inverted(boxes)):
        return _describe_fault(stated, inverted, f"{negative} as {_WORDS[meaning]}", _guess_meaning(stated))
    if _is_common(outside) or (
        meaning != "corners" and outside.mean() > _MIN_OUTSIDE and _are_ordered_corners(stated)
    ):
        what = f"would go beyond the image as {_WORDS[meaning]}"
        return _describe_fault(stated, outside, what, _guess_meaning(stated))
    return ""


def _is_common(found: BoolArray) -> bool:
    return bool(found.sum() >= MIN_DOUBTFUL_BOXES and found.mean() > MAX_DOUBTFUL_SHARE)


def _describe_fault(stated: StatedBoxes, found: BoolArray, what: str, look: str) -> str:
    example = " ".join(f"{value:.6g}" for value in stated.numbers[int(np.argmax(found))])
    number = f"{int(found.sum())} of {format_count(len(found), 'box', 'boxes')}"
    choice = _CHOICES.get(look, "")
    if (stated.sizes <= 1).all():
        choice = choice.removeprefix("pixel_")
    advice = f"set data.labels={choice}" if choice else "correct the annotations"
    return f"{number} {what}, such as {example}: they look like {look}; {advice}"


def _find_shares(stated: StatedBoxes) -> BoolArray:
    """Find boxes with all numbers between 0 and 1 in images that are larger."""
    small = (np.abs(stated.numbers) <= 1).all(axis=1) & (stated.numbers % 1 != 0).any(axis=1)
    return np.asarray(small & (stated.sizes > _MIN_SIDE).all(axis=1))


def are_share_corners(numbers: FloatArray, meaning: BoxMeaning) -> bool:
    """Check whether shares fit the image as corners, and not as what they were taken for."""
    sizes = np.ones((len(numbers), 2))
    fits = [_measure_fit(read_as_corners(numbers, each), sizes) for each in ("corners", meaning)]
    return fits[0] >= _MIN_EXPLAINED > fits[1]


def _are_percent(stated: StatedBoxes) -> bool:
    """Check for many boxes in large images of which none has a number above 100, but some large ones."""
    numbers = stated.numbers
    is_large = len(numbers) >= _MIN_ORDERED_BOXES and bool((stated.sizes >= _MANY_PERCENT).all())
    return is_large and bool((numbers >= 0).all()) and PERCENT / 2 < float(numbers.max()) <= PERCENT


def _are_ordered_corners(stated: StatedBoxes) -> bool:
    """Check whether all boxes are valid corners, which x y width height are by chance alone."""
    fit = _measure_fit(stated.numbers, stated.sizes)
    return len(stated.numbers) >= _MIN_ORDERED_BOXES and fit == 1


def _guess_meaning(stated: StatedBoxes) -> str:
    """Return what the numbers look like: the meaning by which nearly all boxes are inside their images."""
    fits = {other: _measure_fit(read_as_corners(stated.numbers, other), stated.sizes) for other in _WORDS}
    best = max(fits, key=lambda other: fits[other])
    return _WORDS[best] if fits[best] >= _MIN_EXPLAINED else "boxes of images of another size"


def _measure_fit(boxes: FloatArray, sizes: FloatArray) -> float:
    """Return the share of the boxes that are neither inverted nor outside of their images."""
    return 1 - float((_find_inverted(boxes) | _find_outside(boxes, sizes)).mean())


def _find_inverted(boxes: FloatArray) -> BoolArray:
    return np.asarray((boxes[:, 2:] < boxes[:, :2]).any(axis=1))


def _find_outside(boxes: FloatArray, sizes: FloatArray) -> BoolArray:
    slack = sizes * _TOLERANCE + np.where(sizes > 1, 2, 0)
    low, high = np.minimum(boxes[:, :2], boxes[:, 2:]), np.maximum(boxes[:, :2], boxes[:, 2:])
    return np.asarray(((low < -slack) | (high > sizes + slack)).any(axis=1))


def _have_other_sizes(images: Sequence[AnnotatedImage]) -> bool:
    """Check whether most images have another size than stated: data.sizes decides about them."""
    stated = [image for image in images if image.size and not image.normalized and not image.fault]
    few = choose_evenly(stated, _MAX_MEASURED_IMAGES)
    measured = [(image.size, read_displayed_size(image.path)) for image in few if image.load is None]
    differ = sum(real is not None and real != size for size, real in measured)
    return differ > MAX_DOUBTFUL_SHARE * len(measured) if measured else False
