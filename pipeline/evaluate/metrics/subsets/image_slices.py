"""Slices of a split: images with a common property, such as their folder, brightness, size or group."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Final, NamedTuple

import numpy as np

from pipeline.core.arrays import BoolArray

MIN_SLICE_IMAGES: Final = 5
"""A slice has at least so many images."""
MAX_SLICES: Final = 12
"""Slices of one column; those with the most images are kept."""
THIRDS: Final = ("low", "middle", "high")
OBJECT_COUNTS: Final = (0, 1, 2, 5, 10, 20)
"""The first number of objects of each slice: none, 1, 2 to 4 ... 20 or more."""


class SliceFacts(NamedTuple):
    """What sorts one image into slices.

    Attributes:
        source: The file that it was made from; its folder is a column.
        group: Near copies, and images of one group.
        size: Width and height in pixels.
        objects: Number of true objects; None for classify.
        brightness: 0 to 1; None if it is not known.
        columns: Further columns, by name.
    """

    source: str
    group: str
    size: tuple[int, int]
    objects: int | None = None
    brightness: float | None = None
    columns: Mapping[str, str] = {}


def assign_slices(images: Sequence[SliceFacts]) -> list[tuple[str, ...]]:
    """Return the slices of each image, each `COLUMN=VALUE`, such as `brightness=low`.

    A slice of all images is left out, and one of the same images as another. Thirds are of these images.
    """
    named = {
        "folder": [_get_folder(image.source) for image in images],
        "group": [image.group for image in images],
        "brightness": _sort_into_thirds([image.brightness for image in images]),
        "size": _sort_by_size([image.size for image in images]),
        "objects": [_name_count(image.objects) for image in images],
    }
    further = sorted({name for image in images for name in image.columns} - named.keys())
    named |= {name: [image.columns.get(name, "") for image in images] for name in further}
    members: dict[tuple[int, ...], str] = {}
    for name, values in named.items():
        for value in _select_values(values):
            places = tuple(place for place, other in enumerate(values) if other == value)
            members.setdefault(places, f"{name}={value}")
    slices: list[list[str]] = [[] for _ in images]
    for places, title in members.items():
        for place in places:
            slices[place].append(title)
    return [tuple(titles) for titles in slices]


def build_slice_masks(slices: Sequence[Sequence[str]]) -> dict[str, BoolArray]:
    """Return a mask (images,) of each slice, in alphabetical order.

    Args:
        slices: The slices of each image.
    """
    names = sorted({name for of_image in slices for name in of_image})
    return {name: np.array([name in of_image for of_image in slices], bool) for name in names}


def _select_values(values: Sequence[str]) -> list[str]:
    """Return the values that make slices: not of all images, not of a few, not empty."""
    counts = Counter(sorted(value for value in values if value))
    most = counts.most_common(MAX_SLICES)
    return [value for value, count in most if MIN_SLICE_IMAGES <= count < len(values)]


def _get_folder(source: str) -> str:
    return source.rpartition("/")[0] or "."


def _name_count(objects: int | None) -> str:
    if objects is None:
        return ""
    for first, following in pairwise(OBJECT_COUNTS):
        if objects < following:
            return str(first) if following == first + 1 else f"{first}-{following - 1}"
    return f"{OBJECT_COUNTS[-1]}+"


def _sort_by_size(sizes: Sequence[tuple[int, int]]) -> list[str]:
    """Name the size itself where there are few, else the third that the number of pixels is in."""
    if len(set(sizes)) <= MAX_SLICES:
        return [f"{width}x{height}" for width, height in sizes]
    return _sort_into_thirds([width * height for width, height in sizes])


def _sort_into_thirds(values: Sequence[float | None]) -> list[str]:
    """Return the third of each value; empty for an unknown one, and for all where the thirds are equal."""
    known = np.array([value for value in values if value is not None], np.float64)
    if not len(known):
        return [""] * len(values)
    limits = np.quantile(known, [1 / 3, 2 / 3])
    if len({float(known.min()), *limits.tolist(), float(known.max())}) < 4:
        return [""] * len(values)
    return ["" if value is None else THIRDS[int(np.searchsorted(limits, value))] for value in values]
