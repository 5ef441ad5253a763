"""Average precision as COCO defines it, for many weightings of the images at once."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from pipeline.evaluate.metrics.matching import IOUS, DetectionTable

RECALLS: Final = np.linspace(0, 1, 101)
"""The recalls at which COCO reads the precision."""

CELLS: Final = 4_000_000
"""How many weighted detections are held in memory at once (32 MB an array)."""


def average_precisions(
    table: DetectionTable, weights: NDArray[np.int64] | None = None
) -> NDArray[np.float64]:
    """Return the average precision (weightings, classes, 10); NaN for a class without objects.

    Precision is made non-increasing in recall from the right, then read at 101 recalls (cocoeval.py,
    accumulate). An image of weight two counts as two: a bootstrap needs no new matches and no new sorting.

    Args:
        table: The matched detections.
        weights: (weightings, images) how often each image counts; once by default.
    """
    weights = np.ones((1, len(table.objects)), np.int64) if weights is None else weights
    most = max(1, np.bincount(table.classes, minlength=1).max(initial=0))
    parts = np.array_split(weights, max(1, len(weights) * most // CELLS))
    return np.concatenate([_of_all_classes(table, part) for part in parts])


def mean(aps: NDArray[np.float64]) -> NDArray[np.float64]:
    """Average (weightings, classes, ious) over IoUs and the classes with objects; 0 without any."""
    present = ~np.isnan(aps[:, :, 0])
    total = np.nan_to_num(aps).mean(axis=2).sum(axis=1)
    averages: NDArray[np.float64] = total / np.maximum(present.sum(axis=1), 1)
    return averages


def curve(table: DetectionTable, cls: int, level: int = 0) -> NDArray[np.float64]:
    """Return the precision (101,) of a class at `RECALLS` and at IoU number `level`; its mean is the AP."""
    hits = table.hits[(table.classes == cls) & ~table.void[:, level], level]
    found = np.cumsum(hits)
    precision = found / np.arange(1, len(hits) + 1)
    recall = found / max(1, table.objects[:, cls].sum())
    places = np.searchsorted(recall, RECALLS)
    return np.append(_falling(precision), 0.0)[places]


def _of_all_classes(table: DetectionTable, weights: NDArray[np.int64]) -> NDArray[np.float64]:
    objects = weights @ table.objects
    aps = np.full((*objects.shape, len(IOUS)), np.nan)
    for cls in np.flatnonzero(table.objects.any(axis=0)):
        rows = np.flatnonzero(table.classes == cls)
        times = weights[:, table.images[rows]]
        aps[:, cls] = _of_class(times, table.hits[rows], table.void[rows], objects[:, cls])
    aps[objects == 0] = np.nan
    return aps


def _of_class(
    weights: NDArray[np.int64],
    hits: NDArray[np.bool_],
    void: NDArray[np.bool_],
    objects: NDArray[np.int64],
) -> NDArray[np.float64]:
    """Return (weightings, 10) from weights (weightings, d), hits and void (d, 10), objects (weightings,).

    Precision can only peak, and recall only rise, at a hit: everything else is counted and left out.
    """
    shown = np.cumsum(weights, axis=1)
    aps = []
    for at, not_counted in zip(hits.T, void.T, strict=True):
        counted = shown - np.cumsum(weights * not_counted, axis=1) if not_counted.any() else shown
        aps.append(_at_hits(weights[:, at], counted[:, at], objects))
    return np.stack(aps, axis=1)


def _at_hits(
    weights: NDArray[np.int64], shown: NDArray[np.int64], objects: NDArray[np.int64]
) -> NDArray[np.float64]:
    found = np.cumsum(weights, axis=1)
    precision = _falling(found / np.maximum(shown, 1))
    recall = found / np.maximum(objects, 1)[:, None]
    reached = np.searchsorted(RECALLS, recall, side="right")
    ap: NDArray[np.float64] = (precision * np.diff(reached, axis=1, prepend=0)).sum(axis=1) / len(RECALLS)
    return ap


def _falling(precision: NDArray[np.float64]) -> NDArray[np.float64]:
    """Replace each value along the last axis by the highest from there on."""
    return np.maximum.accumulate(precision[..., ::-1], axis=-1)[..., ::-1]
