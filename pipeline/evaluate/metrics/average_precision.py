"""Average precision as COCO defines it, for many weightings of the images at once."""

from __future__ import annotations

from typing import Final

import numpy as np

from pipeline.core.arrays import BoolArray, FloatArray, IntArray
from pipeline.evaluate.metrics.matching import IOU_THRESHOLDS, DetectionTable

RECALL_LEVELS: Final = np.linspace(0, 1, 101)
"""The recalls at which COCO reads the precision."""

MAX_WEIGHTED_DETECTIONS: Final = 4_000_000
"""So many weighted detections are held in memory at once (32 MB an array)."""


def compute_average_precisions(table: DetectionTable, weights: IntArray | None = None) -> FloatArray:
    """Compute the average precision (weightings, classes, 10); NaN for a class without objects.

    Precision is made non-increasing in recall from the right, then read at 101 recalls (cocoeval.py,
    accumulate). An image of weight two counts as two: a bootstrap needs no new matches and no new sorting.

    Args:
        table: The matched detections.
        weights: (weightings, images) how often each image counts; once by default.
    """
    weights = np.ones((1, len(table.objects)), np.int64) if weights is None else weights
    most = max(1, np.bincount(table.classes, minlength=1).max(initial=0))
    parts = np.array_split(weights, max(1, len(weights) * most // MAX_WEIGHTED_DETECTIONS))
    return np.concatenate([_compute_all_classes(table, part) for part in parts])


def compute_mean_ap(aps: FloatArray) -> FloatArray:
    """Average (weightings, classes, ious) over IoUs and the classes with objects; 0 without any."""
    present = ~np.isnan(aps[:, :, 0])
    total = np.nan_to_num(aps).mean(axis=2).sum(axis=1)
    averages: FloatArray = total / np.maximum(present.sum(axis=1), 1)
    return averages


def compute_precision_curve(table: DetectionTable, cls: int, level: int = 0) -> FloatArray:
    """Compute the precision (101,) of a class at `RECALL_LEVELS`; its mean is the average precision.

    Args:
        table: The matched detections.
        cls: The class.
        level: Index of the IoU in `IOU_THRESHOLDS`.
    """
    hits = table.hits[(table.classes == cls) & ~table.ignored[:, level], level]
    found = np.cumsum(hits)
    precision = found / np.arange(1, len(hits) + 1)
    recall = found / max(1, table.objects[:, cls].sum())
    places = np.searchsorted(recall, RECALL_LEVELS)
    return np.append(_precision_envelope(precision), 0.0)[places]


def _compute_all_classes(table: DetectionTable, weights: IntArray) -> FloatArray:
    objects = weights @ table.objects
    aps = np.full((*objects.shape, len(IOU_THRESHOLDS)), np.nan)
    for cls in np.flatnonzero(table.objects.any(axis=0)):
        rows = np.flatnonzero(table.classes == cls)
        times = weights[:, table.images[rows]]
        aps[:, cls] = _compute_class(times, table.hits[rows], table.ignored[rows], objects[:, cls])
    aps[objects == 0] = np.nan
    return aps


def _compute_class(weights: IntArray, hits: BoolArray, ignored: BoolArray, objects: IntArray) -> FloatArray:
    """Return (weightings, 10) from weights (weightings, d), hits and ignored (d, 10), objects (weightings,).

    Precision can only peak, and recall only rise, at a hit: other detections are counted and left out.
    """
    shown = np.cumsum(weights, axis=1)
    aps = []
    for at, not_counted in zip(hits.T, ignored.T, strict=True):
        counted = shown - np.cumsum(weights * not_counted, axis=1) if not_counted.any() else shown
        aps.append(_average_precision_at_hits(weights[:, at], counted[:, at], objects))
    return np.stack(aps, axis=1)


def _average_precision_at_hits(weights: IntArray, shown: IntArray, objects: IntArray) -> FloatArray:
    found = np.cumsum(weights, axis=1)
    precision = _precision_envelope(found / np.maximum(shown, 1))
    recall = found / np.maximum(objects, 1)[:, None]
    reached = np.searchsorted(RECALL_LEVELS, recall, side="right")
    total = (precision * np.diff(reached, axis=1, prepend=0)).sum(axis=1)
    ap: FloatArray = total / len(RECALL_LEVELS)
    return ap


def _precision_envelope(precision: FloatArray) -> FloatArray:
    """Replace each value along the last axis by the highest from there on."""
    return np.maximum.accumulate(precision[..., ::-1], axis=-1)[..., ::-1]
