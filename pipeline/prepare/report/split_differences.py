"""Differences of val and test from train that are significant and large enough to matter."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pipeline.prepare.report.statistics import DatasetColumns

MIN_STANDARD_ERRORS: Final = 3.0
"""Standard errors from which a difference is significant: chance exceeds it once in 370 times."""

MIN_SHARE_DIFFERENCE: Final = 0.1
"""Minimum difference of two shares that matters."""

MIN_EFFECT_SIZE: Final = 0.5
"""Minimum difference of two means that matters, in standard deviations: a medium effect (Cohen, 1988)."""

MIN_IMAGES: Final = 10
"""Minimum number of images of a split to be compared."""

COMPARED_SPLITS: Final = ("val", "test")


def compare_class_shares(table: DatasetColumns, classes: int) -> Iterator[tuple[str, int, float, float]]:
    """Yield split, class, and the class's share of the images in train and in that split, if they differ.

    The standard error is that of two proportions under one pooled share.
    """
    train_shares, total = _compute_image_shares(table, "train", classes)
    for split in COMPARED_SPLITS:
        other, count = _compute_image_shares(table, split, classes)
        if min(total, count) < MIN_IMAGES:
            continue
        pooled = (train_shares * total + other * count) / (total + count)
        error = np.sqrt(pooled * (1 - pooled) * (1 / total + 1 / count))
        gap = np.abs(train_shares - other)
        for cls in np.flatnonzero(
            (gap > MIN_SHARE_DIFFERENCE) & (gap > MIN_STANDARD_ERRORS * error)
        ).tolist():
            yield split, cls, float(train_shares[cls]), float(other[cls])


def compare_means(table: DatasetColumns, values: NDArray[np.float64]) -> Iterator[tuple[str, float, float]]:
    """Yield split, and the mean of the images' values in train and in that split, if they differ.

    The standard error is Welch's, for two samples with different variances.
    """
    train = _select_finite(table, values, "train")
    for split in COMPARED_SPLITS:
        other = _select_finite(table, values, split)
        if min(len(train), len(other)) < MIN_IMAGES:
            continue
        gap = abs(other.mean() - train.mean())
        deviation = np.sqrt((train.var(ddof=1) + other.var(ddof=1)) / 2)
        error = np.sqrt(train.var(ddof=1) / len(train) + other.var(ddof=1) / len(other))
        if gap > MIN_EFFECT_SIZE * deviation and gap > MIN_STANDARD_ERRORS * error:
            yield split, float(train.mean()), float(other.mean())


def _compute_image_shares(table: DatasetColumns, split: str, classes: int) -> tuple[NDArray[np.float64], int]:
    """Return each class's share (classes,) of the images of a split, and the number of these images."""
    part = table.select_split(split)
    pairs = np.unique(np.stack([part.image_index, part.classes], axis=1), axis=0)
    image_counts = np.bincount(pairs[:, 1], minlength=classes)
    return image_counts / max(len(part.splits), 1), len(part.splits)


def _select_finite(table: DatasetColumns, values: NDArray[np.float64], split: str) -> NDArray[np.float64]:
    selected: NDArray[np.float64] = values[(table.splits == split) & np.isfinite(values)]
    return selected
