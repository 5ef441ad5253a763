"""Average precision as COCO defines it, for many weightings of the images at once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

import numpy as np

from pipeline.core.arrays import BoolArray, Float32Array, FloatArray, IntArray
from pipeline.evaluate.metrics.matching import IOU_THRESHOLDS, DetectionTable

RECALL_LEVELS: Final = np.linspace(0, 1, 101)
"""The recalls at which COCO reads the precision."""

MAX_WEIGHTED_DETECTIONS: Final = 1_000_000
"""So many weighted detections are held in memory at once (4 MB an array): a processor's cache holds them."""


class _ClassRows(NamedTuple):
    """The detections of a class, without those after the last hit.

    Attributes:
        images: (d,) index of the image.
        hits: (d, 10) as in `DetectionTable`.
        ignored: (d, 10) likewise.
        useful: (h,) the detections that hit at an IoU or more.
    """

    images: IntArray
    hits: BoolArray
    ignored: BoolArray
    useful: IntArray


def compute_average_precisions(table: DetectionTable, weights: IntArray | None = None) -> FloatArray:
    """Compute the average precision (weightings, classes, 10); NaN for a class without objects.

    Precision is made non-increasing in recall from the right, then read at 101 recalls (cocoeval.py,
    accumulate). An image of weight two counts as two: a bootstrap needs no new matches and no new sorting.

    Args:
        table: The matched detections.
        weights: (weightings, images) how often each image counts; once by default.
    """
    weights = np.ones((1, len(table.objects)), np.int64) if weights is None else weights
    objects = weights @ table.objects
    aps = np.full((*objects.shape, len(IOU_THRESHOLDS)), np.nan)
    by_image = np.ascontiguousarray(weights.T, np.float32)  # counts are exact up to 16 million
    for cls in np.flatnonzero(table.objects.any(axis=0)):
        rows = _select_rows(table, np.flatnonzero(table.classes == cls))
        for part in _split_weightings(len(weights), len(rows.images)):
            aps[part, cls] = _compute_class(by_image[:, part], rows, objects[part, cls])
    aps[objects == 0] = np.nan
    return aps


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


def _split_weightings(weightings: int, detections: int) -> Iterator[slice]:
    """Yield the weightings in parts that fit into memory with the detections of one class.

    Of two weightings or more, each part has two at least: numpy sums a single column in another order than
    several ones, and the last digit would depend on how many detections there are.
    """
    parts = min(weightings * detections // MAX_WEIGHTED_DETECTIONS, weightings // 2)
    ends = np.linspace(0, weightings, max(1, parts) + 1, dtype=np.int64).tolist()
    yield from map(slice, ends[:-1], ends[1:])


def _select_rows(table: DetectionTable, rows: IntArray) -> _ClassRows:
    hits = table.hits[rows]
    useful = np.flatnonzero(hits.any(axis=1))
    rows = rows[: useful[-1] + 1] if len(useful) else rows[:0]
    return _ClassRows(table.images[rows], hits[: len(rows)], table.ignored[rows], useful)


def _compute_class(weights: Float32Array, rows: _ClassRows, objects: IntArray) -> FloatArray:
    """Return (weightings, 10) from weights (images, weightings) and objects (weightings,).

    Precision can only peak, and recall only rise, at a hit: what lies between two hits is counted as one.
    """
    aps = np.zeros((len(objects), len(IOU_THRESHOLDS)))
    if not len(rows.useful):
        return aps
    times = weights[rows.images]
    starts = np.append(0, rows.useful[:-1] + 1)
    shown = np.cumsum(np.add.reduceat(times, starts), axis=0)
    reached = _count_reached_levels(objects)
    for level, not_counted in enumerate(rows.ignored.T):
        at = np.flatnonzero(rows.hits[rows.useful, level])
        counted = shown[at]
        if not_counted.any():
            counted -= np.cumsum(np.add.reduceat(times * not_counted[:, None], starts), axis=0)[at]
        found = np.cumsum(times[rows.useful[at]], axis=0)
        aps[:, level] = _average_precision_at_hits(found, counted, reached)
    return aps


def _count_reached_levels(objects: IntArray) -> Float32Array:
    """Count (most objects + 1, weightings) the levels of recall that so many found objects reach."""
    recall = np.arange(objects.max(initial=0) + 1)[:, None] / np.maximum(objects, 1)
    return np.searchsorted(RECALL_LEVELS, recall, side="right").astype(np.float32)


def _average_precision_at_hits(found: Float32Array, shown: Float32Array, reached: Float32Array) -> FloatArray:
    """Return (weightings,) from found and shown (hits, weightings); see `_count_reached_levels`."""
    precision = np.divide(found, shown, out=np.zeros(found.shape), where=found > 0, dtype=np.float64)
    precision[:] = _precision_envelope(precision.T).T
    columns = np.arange(found.shape[1])
    levels = np.take(reached, found.astype(np.int64) * found.shape[1] + columns)
    ap: FloatArray = (precision * np.diff(levels, axis=0, prepend=0)).sum(axis=0) / len(RECALL_LEVELS)
    return ap


def _precision_envelope(precision: FloatArray) -> FloatArray:
    """Replace each value along the last axis by the highest from there on."""
    return np.maximum.accumulate(precision[..., ::-1], axis=-1)[..., ::-1]
