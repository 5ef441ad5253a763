"""What a prepared dataset looks like in numbers, and which of its images show it best."""

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
    """One image's part in the statistics.

    Attributes:
        split: train, val or test.
        size: Width and height in pixels.
        classes: Class index of each object.
        boxes: (n, 4) x1 y1 x2 y2 of each object in pixels.
        source: The image's name in the source.
        brightness: Mean of its grey values, 0..1; NaN where it was not measured.
        sharpness: Variance of its Laplacian; NaN where it was not measured.
    """

    split: str
    size: tuple[int, int]
    classes: Sequence[int]
    boxes: NDArray[np.float64]
    source: str = ""
    brightness: float = float("nan")
    sharpness: float = float("nan")


@dataclass(frozen=True)
class DatasetColumns:
    """The images and objects of a dataset as columns, so that 100,000 images take no loop.

    Args:
        splits: (images,) the split of each image.
        sizes: (images, 2) width and height in pixels.
        brightness: (images,) 0..1.
        sharpness: (images,) variance of the Laplacian.
        sources: The name of each image in the source.
        images: (objects,) the image of each object.
        classes: (objects,) its class.
        boxes: (objects, 4) x1 y1 x2 y2 in shares of its image.
    """

    splits: NDArray[np.str_]
    sizes: NDArray[np.int64]
    brightness: NDArray[np.float64]
    sharpness: NDArray[np.float64]
    sources: tuple[str, ...]
    images: NDArray[np.int64]
    classes: NDArray[np.int64]
    boxes: NDArray[np.float64]

    @property
    def per_image(self) -> NDArray[np.int64]:
        """The number of objects of each image."""
        return np.bincount(self.images, minlength=len(self.splits))

    @property
    def extents(self) -> NDArray[np.float64]:
        """(objects, 2) width and height in pixels."""
        shares: NDArray[np.float64] = self.boxes[:, 2:] - self.boxes[:, :2]
        return shares * self.sizes[self.images]

    @property
    def aspects(self) -> NDArray[np.float64]:
        """(objects,) width over height."""
        extents = np.maximum(self.extents, 1e-6)  # an outline may be a line
        ratios: NDArray[np.float64] = extents[:, 0] / extents[:, 1]
        return ratios

    def of(self, split: str) -> DatasetColumns:
        """Return the columns of one split's images, in their order."""
        kept = self.splits == split
        objects = kept[self.images]
        return DatasetColumns(
            self.splits[kept],
            self.sizes[kept],
            self.brightness[kept],
            self.sharpness[kept],
            tuple(source for source, keep in zip(self.sources, kept, strict=True) if keep),
            (np.cumsum(kept) - 1)[self.images[objects]],
            self.classes[objects],
            self.boxes[objects],
        )


def columns(images: Sequence[ImageStatistics]) -> DatasetColumns:
    """Put images into columns."""
    sizes = np.array([image.size for image in images], np.int64).reshape(-1, 2)
    lengths = [len(image.classes) for image in images]
    owners = np.repeat(np.arange(len(images)), lengths)
    classes = np.array([cls for image in images for cls in image.classes], np.int64)
    boxes = np.concatenate([np.zeros((0, 4)), *(np.reshape(image.boxes, (-1, 4)) for image in images)])
    return DatasetColumns(
        np.array([image.split for image in images], np.str_),
        sizes,
        np.array([image.brightness for image in images], np.float64),
        np.array([image.sharpness for image in images], np.float64),
        tuple(image.source for image in images),
        owners,
        classes,
        boxes / np.tile(sizes, 2)[owners],
    )


def describe(images: Sequence[ImageStatistics], names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Describe each split: counts, objects per image, how large and oblong they are, how the images look."""
    table = columns(images)
    splits = dict.fromkeys(image.split for image in images)
    return {split: _split(table.of(split), names) for split in splits}


def representative(samples: Iterable[SplitSample], count: int, *, seed: int) -> list[str]:
    """Pick images at random, such that each class is among them if there is room, the rarest first.

    Returns:
        Keys in the order they were picked.
    """
    left = sorted(samples)
    random.Random(seed).shuffle(left)
    frequency = Counter(cls for sample in left for cls in sample.classes)
    picked: list[SplitSample] = []
    for cls in sorted(frequency, key=lambda cls: (frequency[cls], cls)):
        if not any(cls in sample.classes for sample in picked):
            picked.append(next(sample for sample in left if cls in sample.classes))
    chosen = {sample.key for sample in picked}
    picked += [sample for sample in left if sample.key not in chosen]
    return [sample.key for sample in picked[:count]]


def _split(table: DatasetColumns, names: Sequence[str]) -> dict[str, Any]:
    counts = np.bincount(table.classes, minlength=len(names)).tolist()
    extents, per_image = table.extents, table.per_image
    areas = extents.prod(axis=1) / table.sizes[table.images].prod(axis=1)
    return {
        "images": len(table.splits),
        "objects": len(table.classes),
        "backgrounds": int((per_image == 0).sum()),
        "classes": dict(zip(names, counts, strict=True)),
        "objects_per_image": _quantiles(per_image),
        "box_area_share": _quantiles(areas),
        "box_aspect": _quantiles(table.aspects),
        "image_width": _quantiles(table.sizes[:, 0]),
        "image_height": _quantiles(table.sizes[:, 1]),
        "brightness": _quantiles(table.brightness),
        "sharpness": _quantiles(table.sharpness),
    }


def _quantiles(values: NDArray[Any]) -> dict[str, float]:
    """Return the quantiles of what was measured; nothing where nothing was."""
    known = values[np.isfinite(values)]
    if not len(known):
        return {}
    found = np.quantile(known, list(QUANTILES.values()))
    return {name: round(float(value), 6) for name, value in zip(QUANTILES, found, strict=True)}
