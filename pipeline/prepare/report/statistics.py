"""Statistics of a prepared dataset, and the choice of representative images."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.prepare.splits.stratify import SplitSample

QUANTILES: Final = {"min": 0.0, "p25": 0.25, "median": 0.5, "p75": 0.75, "max": 1.0}


class ImageStatistics(NamedTuple):
    """What the statistics need to know of one image.

    Attributes:
        split: train, val or test.
        size: Width and height in pixels.
        classes: Class index of each object.
        boxes: (n, 4) x1 y1 x2 y2 of each object in pixels.
        source: The image's name in the source.
        brightness: Mean of its gray values, 0..1; NaN if it was not measured.
        sharpness: Variance of its Laplacian; NaN if it was not measured.
        sides: (n, 2) the sides of each rotated box in pixels; None where those of `boxes` are meant.
    """

    split: str
    size: tuple[int, int]
    classes: Sequence[int]
    boxes: NDArray[np.float64]
    source: str = ""
    brightness: float = float("nan")
    sharpness: float = float("nan")
    sides: NDArray[np.float64] | None = None


@dataclass(frozen=True)
class DatasetColumns:
    """The images and objects of a dataset as columns, so that 100,000 images need no loop.

    Args:
        splits: (images,) the split of each image.
        sizes: (images, 2) width and height in pixels.
        brightness: (images,) 0..1.
        sharpness: (images,) variance of the Laplacian.
        sources: The name of each image in the source.
        image_index: (objects,) the image of each object.
        classes: (objects,) its class.
        boxes: (objects, 4) x1 y1 x2 y2 in shares of its image.
        sides: (objects, 2) two sides in pixels, of rotated boxes their own: a thin object that lies askew
            has a large upright box.
    """

    splits: NDArray[np.str_]
    sizes: NDArray[np.int64]
    brightness: NDArray[np.float64]
    sharpness: NDArray[np.float64]
    sources: tuple[str, ...]
    image_index: NDArray[np.int64]
    classes: NDArray[np.int64]
    boxes: NDArray[np.float64]
    sides: NDArray[np.float64]

    @property
    def objects_per_image(self) -> NDArray[np.int64]:
        """The number of objects of each image."""
        return np.bincount(self.image_index, minlength=len(self.splits))

    @property
    def aspects(self) -> NDArray[np.float64]:
        """(objects,) width over height of the upright box."""
        shares = self.boxes[:, 2:] - self.boxes[:, :2]
        extents = np.maximum(shares * self.sizes[self.image_index], 1e-6)  # an outline may be a line
        ratios: NDArray[np.float64] = extents[:, 0] / extents[:, 1]
        return ratios

    def select_split(self, split: str) -> DatasetColumns:
        """Return the columns of the images of one split, in their order."""
        in_split = self.splits == split
        objects = in_split[self.image_index]
        return DatasetColumns(
            self.splits[in_split],
            self.sizes[in_split],
            self.brightness[in_split],
            self.sharpness[in_split],
            tuple(source for source, chosen in zip(self.sources, in_split, strict=True) if chosen),
            (np.cumsum(in_split) - 1)[self.image_index[objects]],
            self.classes[objects],
            self.boxes[objects],
            self.sides[objects],
        )


def build_columns(images: Sequence[ImageStatistics]) -> DatasetColumns:
    """Convert images to columns."""
    sizes = np.array([image.size for image in images], np.int64).reshape(-1, 2)
    lengths = [len(image.classes) for image in images]
    owners = np.repeat(np.arange(len(images)), lengths)
    classes = np.array([cls for image in images for cls in image.classes], np.int64)
    corners = [np.reshape(image.boxes, (-1, 4)) for image in images]
    boxes = np.concatenate([np.zeros((0, 4)), *corners])
    sides = [
        found[:, 2:] - found[:, :2] if image.sides is None else image.sides
        for image, found in zip(images, corners, strict=True)
    ]
    return DatasetColumns(
        np.array([image.split for image in images], np.str_),
        sizes,
        np.array([image.brightness for image in images], np.float64),
        np.array([image.sharpness for image in images], np.float64),
        tuple(image.source for image in images),
        owners,
        classes,
        boxes / np.tile(sizes, 2)[owners],
        np.concatenate([np.zeros((0, 2)), *sides]),
    )


def describe_splits(images: Sequence[ImageStatistics], names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Describe each split: counts, objects per image, sizes and aspect ratios, brightness and sharpness."""
    table = build_columns(images)
    splits = dict.fromkeys(image.split for image in images)
    return {split: _describe_split(table.select_split(split), names) for split in splits}


def select_representatives(samples: Iterable[SplitSample], count: int, *, seed: int) -> list[str]:
    """Select images at random, if possible with every class; the rarest class is selected first.

    Returns:
        Keys in the order of selection.
    """
    shuffled = sorted(samples)
    random.Random(seed).shuffle(shuffled)
    frequency = Counter(cls for sample in shuffled for cls in sample.classes)
    selected: list[SplitSample] = []
    for cls in sorted(frequency, key=lambda cls: (frequency[cls], cls)):
        if not any(cls in sample.classes for sample in selected):
            selected.append(next(sample for sample in shuffled if cls in sample.classes))
    chosen = {sample.key for sample in selected}
    selected += [sample for sample in shuffled if sample.key not in chosen]
    return [sample.key for sample in selected[:count]]


def _describe_split(table: DatasetColumns, names: Sequence[str]) -> dict[str, Any]:
    counts = np.bincount(table.classes, minlength=len(names)).tolist()
    per_image = table.objects_per_image
    areas = table.sides.prod(axis=1) / table.sizes[table.image_index].prod(axis=1)
    return {
        "images": len(table.splits),
        "objects": len(table.classes),
        "backgrounds": int((per_image == 0).sum()),
        "classes": dict(zip(names, counts, strict=True)),
        "objects_per_image": _compute_quantiles(per_image),
        "box_area_share": _compute_quantiles(areas),
        "box_aspect": _compute_quantiles(table.aspects),
        "image_width": _compute_quantiles(table.sizes[:, 0]),
        "image_height": _compute_quantiles(table.sizes[:, 1]),
        "brightness": _compute_quantiles(table.brightness),
        "sharpness": _compute_quantiles(table.sharpness),
    }


def _compute_quantiles(values: NDArray[Any]) -> dict[str, float]:
    """Return the quantiles of the finite values; empty if there are none."""
    finite = values[np.isfinite(values)]
    if not len(finite):
        return {}
    quantiles = np.quantile(finite, list(QUANTILES.values()))
    return {name: round(float(value), 6) for name, value in zip(QUANTILES, quantiles, strict=True)}
