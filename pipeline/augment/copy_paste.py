"""Copy-paste of rare classes: which objects are pasted, where to, and what the labels are afterwards.

Simple copy-paste (Ghiasi et al., CVPR 2021) with donors drawn by class, so that rare classes gain most.
Objects are pasted into the source image before a copy's own transforms, which then move all objects alike.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from pipeline.augment import affine, parameters
from pipeline.augment.affine import Matrix
from pipeline.augment.parameters import AugmentationParameters, AugmentationRanges, copy_seed
from pipeline.core.arrays import FloatArray
from pipeline.core.geometry import polygons
from pipeline.dataset.labels import ImageLabels, around
from pipeline.dataset.manifest import ImageRecord

MOST: Final = 3
"""Objects pasted into one copy, at most."""
TRIES: Final = 10
"""Objects that are tried for each that is pasted."""
COVERED: Final = 0.3
"""Share of an object that all that is pasted may cover, at most."""
EDGE: Final = 1.0
"""Pixels: an object nearer to the image's edge is taken for one that the edge cuts, and not pasted."""


class DonorObject(NamedTuple):
    """An object of a train image: the image, and the object's place in its label file."""

    item: ImageRecord
    number: int


DonorPool = Mapping[int, tuple[DonorObject, ...]]
"""The donors of each class, by class index."""


@dataclass(frozen=True)
class PasteSettings:
    """How objects are pasted.

    Args:
        chance: Of a copy to get any, 0..1.
        stock: What is pasted.
    """

    chance: float
    stock: DonorPool


class PasteTarget(NamedTuple):
    """The objects of an image into which others are pasted, in pixels.

    Attributes:
        classes: Of each object.
        rings: What is left of each outline.
        left: The share of each outline that is left.
    """

    classes: tuple[int, ...]
    rings: tuple[FloatArray, ...]
    left: tuple[float, ...]


def stock(items: Iterable[ImageRecord]) -> DonorPool:
    """List the objects of images by class."""
    found: dict[int, list[DonorObject]] = {}
    for item in items:
        for number, cls in enumerate(item.classes):
            found.setdefault(cls, []).append(DonorObject(item, number))
    return {cls: tuple(found[cls]) for cls in sorted(found)}


def wanted(pasting: PasteSettings, seed: int) -> int:
    """Draw how many objects a copy gets."""
    if not pasting.stock or parameters.share(seed, "paste", "chance") >= pasting.chance:
        return 0
    return 1 + int(parameters.share(seed, "paste", "count") * MOST)


def candidates(pasting: PasteSettings, seed: int) -> Iterator[tuple[DonorObject, int]]:
    """Yield objects to try, each with a seed: a class in inverse proportion to its number."""
    classes = list(pasting.stock)
    ends = np.cumsum([1 / len(pasting.stock[cls]) for cls in classes])
    for turn in range(MOST * TRIES):
        point = parameters.share(seed, "paste", "class", str(turn)) * ends[-1]
        donors = pasting.stock[classes[int(np.searchsorted(ends, point, side="right"))]]
        index = int(parameters.share(seed, "paste", "object", str(turn)) * len(donors))
        yield donors[index], copy_seed(seed, "paste", turn)


def scene(labels: ImageLabels, extent: tuple[int, int]) -> PasteTarget:
    """Return the objects of an image before anything is pasted."""
    rings = tuple(outline * extent for outline in labels.outlines)
    return PasteTarget(tuple(labels.classes.tolist()), rings, (1.0,) * len(rings))


def labels(pasted: PasteTarget, extent: tuple[int, int]) -> ImageLabels:
    """Return the labels of an image with what was pasted into it."""
    shares = tuple(ring / extent for ring in pasted.rings)
    return ImageLabels(np.array(pasted.classes, np.int64), around(shares), shares)


def uncut(ring: FloatArray, extent: tuple[int, int]) -> bool:
    """Tell whether an outline in pixels keeps clear of the image's edges."""
    return bool((ring >= EDGE).all() and (ring <= np.array(extent) - EDGE).all())


def way(
    ring: FloatArray, sizes: tuple[tuple[int, int], tuple[int, int]], ranges: AugmentationRanges, seed: int
) -> Matrix | None:
    """Draw where an object goes: turned, flipped and scaled as copies are, anywhere, but wholly inside.

    Args:
        ring: Its outline (k, 2) in pixels of its own image.
        sizes: Width and height of its own image, and of the one that it goes to: it takes the same share of
            the longer side there.
        ranges: What may be drawn for a copy; the crop is left out.
        seed: Of this object.

    Returns:
        A 3 x 3 matrix of six decimals, so that the record holds just what was done; None if there is no room.
    """
    drawn = parameters.draw(ranges, seed)
    zoom = max(sizes[1]) / max(sizes[0])
    recipe = AugmentationParameters(
        fliplr=drawn.fliplr, flipud=drawn.flipud, rotate=drawn.rotate, scale=drawn.scale * zoom
    )
    turned = affine.matrix(recipe, *sizes[0])
    there = affine.points(ring, turned)
    low, room = there.min(axis=0), np.array(sizes[1]) - np.ptp(there, axis=0)
    if room.min() < 0:
        return None
    place = room * [parameters.share(seed, "paste", side) for side in ("left", "top")]
    turned[:2, 2] += place - low
    return np.asarray(np.round(turned, 6), np.float64)


def put(into: PasteTarget, cls: int, ring: FloatArray) -> PasteTarget | None:
    """Add an object above the others, whose outlines lose what it covers; None if that were too much."""
    cover = polygons.region(ring)
    rests = [polygons.without(other, cover) for other in into.rings]
    left = [share * before for (_, share), before in zip(rests, into.left, strict=True)]
    rings = [rest for rest, _ in rests]
    if any(share < 1 - COVERED for share in left) or any(len(rest) < 3 for rest in rings):
        return None
    return PasteTarget((*into.classes, cls), (*rings, ring), (*left, 1.0))
