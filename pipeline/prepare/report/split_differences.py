"""In what val and test differ from train: by more than chance, and by enough to matter."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pipeline.prepare.report.statistics import DatasetColumns

ERRORS: Final = 3.0
"""Standard errors from which a difference is no chance: one in 370 that are none."""

POINTS: Final = 0.1
"""The least difference of two shares that matters."""

DEVIATIONS: Final = 0.5
"""The least difference of two means that matters, in standard deviations: a medium effect (Cohen, 1988)."""

FEWEST: Final = 10
"""Images that a split must have to be compared."""

OTHERS: Final = ("val", "test")


def shares(table: DatasetColumns, classes: int) -> Iterator[tuple[str, int, float, float]]:
    """Yield split, class, and its share of the images in train and in that split, where they lie apart.

    The error is that of two proportions under one share for both.
    """
    base, total = _image_shares(table, "train", classes)
    for split in OTHERS:
        other, count = _image_shares(table, split, classes)
        if min(total, count) < FEWEST:
            continue
        pooled = (base * total + other * count) / (total + count)
        error = np.sqrt(pooled * (1 - pooled) * (1 / total + 1 / count))
        gap = np.abs(base - other)
        for cls in np.flatnonzero((gap > POINTS) & (gap > ERRORS * error)).tolist():
            yield split, cls, float(base[cls]), float(other[cls])


def means(table: DatasetColumns, values: NDArray[np.float64]) -> Iterator[tuple[str, float, float]]:
    """Yield split, the mean of the images' values in train and in that split, where they lie apart.

    The error is Welch's, of two samples with variances of their own.
    """
    train = _known(table, values, "train")
    for split in OTHERS:
        other = _known(table, values, split)
        if min(len(train), len(other)) < FEWEST:
            continue
        gap = abs(other.mean() - train.mean())
        spread = np.sqrt((train.var(ddof=1) + other.var(ddof=1)) / 2)
        error = np.sqrt(train.var(ddof=1) / len(train) + other.var(ddof=1) / len(other))
        if gap > DEVIATIONS * spread and gap > ERRORS * error:
            yield split, float(train.mean()), float(other.mean())


def _image_shares(table: DatasetColumns, split: str, classes: int) -> tuple[NDArray[np.float64], int]:
    """Return each class's share of the images of a split (classes,), and their number."""
    part = table.of(split)
    pairs = np.unique(np.stack([part.images, part.classes], axis=1), axis=0)
    holders = np.bincount(pairs[:, 1], minlength=classes)
    return holders / max(len(part.splits), 1), len(part.splits)


def _known(table: DatasetColumns, values: NDArray[np.float64], split: str) -> NDArray[np.float64]:
    found: NDArray[np.float64] = values[(table.splits == split) & np.isfinite(values)]
    return found
