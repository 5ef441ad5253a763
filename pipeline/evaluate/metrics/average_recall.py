"""Average recall as COCO defines it: how many objects are found with few detections per image."""

from __future__ import annotations

from typing import Final

import numpy as np

from pipeline.core.arrays import BoolArray, IntArray
from pipeline.evaluate.metrics.matching import DetectionTable

DETECTION_LIMITS: Final = (1, 10, 100)
"""The most detections of a class that count in an image: AR1, AR10 and AR100."""


def compute_average_recalls(table: DetectionTable) -> dict[int, float]:
    """Compute the average recall for each of `DETECTION_LIMITS`; 0 for a split without objects.

    Recall is averaged over the IoUs and the classes with objects. In an image, the detections of the highest
    scores of each class count (cocoeval.py, evaluateImg).
    """
    objects = table.objects.sum(axis=0)
    present, ranks = np.flatnonzero(objects), rank_detections(table)
    recalls = {}
    for limit in DETECTION_LIMITS:
        found = _count_hits(table, ranks < limit)[present]
        recalls[limit] = float((found / objects[present, None]).mean()) if len(present) else 0.0
    return recalls


def rank_detections(table: DetectionTable) -> IntArray:
    """Return the place (d,) of each detection among those of its class in its image, from 0."""
    keys = table.images * table.objects.shape[1] + table.classes
    order = np.argsort(keys, kind="stable")  # within a key, the table's order: by descending score
    ordered = keys[order]
    starts = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1])[: len(ordered)])
    places = np.arange(len(ordered)) - np.repeat(starts, np.diff(np.append(starts, len(ordered))))
    ranks = np.empty_like(places)
    ranks[order] = places
    return ranks


def _count_hits(table: DetectionTable, chosen: BoolArray) -> IntArray:
    """Count the hits (classes, 10) among the chosen detections."""
    found = np.zeros((table.objects.shape[1], table.hits.shape[1]), np.int64)
    np.add.at(found, table.classes[chosen], table.hits[chosen])
    return found
