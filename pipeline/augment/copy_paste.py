"""Copy-paste of rare classes: draw objects and their places, and update the labels.

Simple copy-paste (Ghiasi et al., CVPR 2021). Donors are drawn by class, so that rare classes gain most.
Objects are pasted into the source image before a copy's own transforms, which then move all objects alike.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from pipeline.augment.affine import Matrix, build_affine_matrix, transform_points
from pipeline.augment.parameters import (
    AugmentationParameters,
    AugmentationRanges,
    derive_copy_seed,
    draw_parameters,
    hash_to_share,
)
from pipeline.core.arrays import FloatArray
from pipeline.core.geometry.polygons import build_region, subtract_cover
from pipeline.dataset.labels import ImageLabels, outlines_to_boxes
from pipeline.dataset.manifest import ImageRecord

MAX_PASTED_OBJECTS: Final = 3
"""Maximum number of objects pasted into one copy."""
TRIES_PER_OBJECT: Final = 10
"""Donors that are tried for each object to paste."""
MAX_COVERED_SHARE: Final = 0.3
"""Maximum share of an object that all pasted objects together may cover."""
BORDER_MARGIN: Final = 1.0
"""Pixels: an object nearer to the image's edge is considered cut by the edge, and is not pasted."""


class DonorObject(NamedTuple):
    """An object of a train image: the image, and the object's index in its label file."""

    item: ImageRecord
    object_index: int


DonorPool = Mapping[int, tuple[DonorObject, ...]]
"""The donors of each class, by class index."""


@dataclass(frozen=True)
class PasteSettings:
    """Settings of copy-paste.

    Args:
        probability: Probability that a copy gets any object, 0..1.
        donors: The objects that may be pasted.
    """

    probability: float
    donors: DonorPool


class PasteTarget(NamedTuple):
    """The objects of an image into which others are pasted, in pixels.

    Attributes:
        classes: Class index of each object.
        outlines: The uncovered part of each outline.
        visible_shares: The uncovered share of each outline, 0..1.
    """

    classes: tuple[int, ...]
    outlines: tuple[FloatArray, ...]
    visible_shares: tuple[float, ...]


def build_donor_pool(items: Iterable[ImageRecord]) -> DonorPool:
    """List the objects of images by class."""
    donors: dict[int, list[DonorObject]] = {}
    for item in items:
        for index, cls in enumerate(item.classes):
            donors.setdefault(cls, []).append(DonorObject(item, index))
    return {cls: tuple(donors[cls]) for cls in sorted(donors)}


def draw_paste_count(pasting: PasteSettings, seed: int) -> int:
    """Draw how many objects a copy gets."""
    if not pasting.donors or hash_to_share(seed, "paste", "chance") >= pasting.probability:
        return 0
    return 1 + int(hash_to_share(seed, "paste", "count") * MAX_PASTED_OBJECTS)


def iterate_donors(pasting: PasteSettings, seed: int) -> Iterator[tuple[DonorObject, int]]:
    """Yield objects to try, each with a seed; a class is drawn in inverse proportion to its object count."""
    classes = list(pasting.donors)
    ends = np.cumsum([1 / len(pasting.donors[cls]) for cls in classes])
    for attempt in range(MAX_PASTED_OBJECTS * TRIES_PER_OBJECT):
        point = hash_to_share(seed, "paste", "class", str(attempt)) * ends[-1]
        donors = pasting.donors[classes[int(np.searchsorted(ends, point, side="right"))]]
        index = int(hash_to_share(seed, "paste", "object", str(attempt)) * len(donors))
        yield donors[index], derive_copy_seed(seed, "paste", attempt)


def build_paste_target(labels: ImageLabels, extent: tuple[int, int]) -> PasteTarget:
    """Return the objects of an image before anything is pasted."""
    outlines = tuple(outline * extent for outline in labels.outlines)
    return PasteTarget(tuple(labels.classes.tolist()), outlines, (1.0,) * len(outlines))


def build_target_labels(target: PasteTarget, extent: tuple[int, int]) -> ImageLabels:
    """Return the labels of an image, including the pasted objects."""
    normalized = tuple(outline / extent for outline in target.outlines)
    return ImageLabels(np.array(target.classes, np.int64), outlines_to_boxes(normalized), normalized)


def is_inside_border(outline: FloatArray, extent: tuple[int, int]) -> bool:
    """Check that an outline in pixels keeps `BORDER_MARGIN` from the image's edges."""
    return bool((outline >= BORDER_MARGIN).all() and (outline <= np.array(extent) - BORDER_MARGIN).all())


def draw_placement(
    outline: FloatArray,
    sizes: tuple[tuple[int, int], tuple[int, int]],
    ranges: AugmentationRanges,
    seed: int,
) -> Matrix | None:
    """Draw where an object is pasted: rotated, flipped and scaled as copies are, and completely inside.

    Args:
        outline: The object's outline (k, 2) in pixels of its own image.
        sizes: Width and height of its own image, and of the target image: the object takes the same share of
            the longer side in both.
        ranges: What a copy's parameters are drawn from; the crop is left out.
        seed: Seed of this object.

    Returns:
        A 3 x 3 matrix of six decimals, so that the record holds it exactly; None if there is no room.
    """
    drawn = draw_parameters(ranges, seed)
    zoom = max(sizes[1]) / max(sizes[0])
    parameters = AugmentationParameters(
        fliplr=drawn.fliplr, flipud=drawn.flipud, rotate=drawn.rotate, scale=drawn.scale * zoom
    )
    matrix = build_affine_matrix(parameters, *sizes[0])
    transformed = transform_points(outline, matrix)
    low, room = transformed.min(axis=0), np.array(sizes[1]) - np.ptp(transformed, axis=0)
    if room.min() < 0:
        return None
    position = room * [hash_to_share(seed, "paste", side) for side in ("left", "top")]
    matrix[:2, 2] += position - low
    return np.asarray(np.round(matrix, 6), np.float64)


def add_object(target: PasteTarget, cls: int, outline: FloatArray) -> PasteTarget | None:
    """Add an object above the others, and cut what it covers out of their outlines.

    Returns:
        The new target; None if the object would cover more than `MAX_COVERED_SHARE` of another one.
    """
    cover = build_region(outline)
    uncovered = [subtract_cover(other, cover) for other in target.outlines]
    shares = [share * before for (_, share), before in zip(uncovered, target.visible_shares, strict=True)]
    outlines = [rest for rest, _ in uncovered]
    if any(share < 1 - MAX_COVERED_SHARE for share in shares) or any(len(rest) < 3 for rest in outlines):
        return None
    return PasteTarget((*target.classes, cls), (*outlines, outline), (*shares, 1.0))
