"""What a prepared dataset looks like in numbers, and which of its images show it best."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.core.splits import Sample

QUANTILES = {"min": 0.0, "p25": 0.25, "median": 0.5, "p75": 0.75, "max": 1.0}


class Described(NamedTuple):
    """One image's part in the statistics.

    Attributes:
        split: train, val or test.
        size: Width and height in pixels.
        classes: Class index of each object.
        extents: (n, 2) width and height of each object in pixels.
    """

    split: str
    size: tuple[int, int]
    classes: Sequence[int]
    extents: NDArray[np.float64]


def describe(images: Sequence[Described], names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Describe each split: counts, objects per image, and how large and how oblong the objects are."""
    splits = dict.fromkeys(image.split for image in images)
    return {split: _split([image for image in images if image.split == split], names) for split in splits}


def representative(samples: Iterable[Sample], count: int, *, seed: int) -> list[str]:
    """Pick images at random, such that each class is among them if there is room, the rarest first.

    Returns:
        Keys in the order they were picked.
    """
    left = sorted(samples)
    random.Random(seed).shuffle(left)
    frequency = Counter(cls for sample in left for cls in sample.classes)
    picked: list[Sample] = []
    for cls in sorted(frequency, key=lambda cls: (frequency[cls], cls)):
        if not any(cls in sample.classes for sample in picked):
            picked.append(next(sample for sample in left if cls in sample.classes))
    chosen = {sample.key for sample in picked}
    picked += [sample for sample in left if sample.key not in chosen]
    return [sample.key for sample in picked[:count]]


def _split(images: Sequence[Described], names: Sequence[str]) -> dict[str, Any]:
    counts = Counter(cls for image in images for cls in image.classes)
    return {
        "images": len(images),
        "objects": sum(counts.values()),
        "backgrounds": sum(not len(image.classes) for image in images),
        "classes": {name: counts[index] for index, name in enumerate(names)},
        "objects_per_image": _quantiles([len(image.classes) for image in images]),
        "box_area_share": _quantiles(_areas(images)),
        "box_aspect": _quantiles(_aspects(images)),
        "image_width": _quantiles([image.size[0] for image in images]),
        "image_height": _quantiles([image.size[1] for image in images]),
    }


def _areas(images: Iterable[Described]) -> list[float]:
    """Return each object's share of its image's area."""
    return [
        area
        for image in images
        for area in (image.extents.prod(1) / (image.size[0] * image.size[1])).tolist()
    ]


def _aspects(images: Iterable[Described]) -> list[float]:
    """Return width over height of each object."""
    return [aspect for image in images for aspect in (image.extents[:, 0] / image.extents[:, 1]).tolist()]


def _quantiles(values: Sequence[float]) -> dict[str, float]:
    if not values:
        return {}
    found = np.quantile(np.array(values, np.float64), list(QUANTILES.values()))
    return {name: round(float(value), 6) for name, value in zip(QUANTILES, found, strict=True)}
