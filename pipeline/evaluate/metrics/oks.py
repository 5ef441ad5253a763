"""Object keypoint similarity (OKS) of poses, as COCO defines it (cocoeval.py, computeOks)."""

from __future__ import annotations

from typing import Final

import numpy as np

from pipeline.core.arrays import FloatArray
from pipeline.core.geometry.object_areas import PERSON_AREA_SHARE

COCO_SIGMAS: Final = (
    *(0.026, 0.025, 0.025, 0.035, 0.035, 0.079, 0.079, 0.072, 0.072),
    *(0.062, 0.062, 0.107, 0.107, 0.087, 0.087, 0.089, 0.089),
)
"""Deviation between annotators of each of COCO's 17 points, as a share of a person's size."""


def get_keypoint_sigmas(points: int) -> FloatArray:
    """Return the tolerance of each point: COCO's for its 17, Ultralytics' 1/K for any other number K."""
    return np.array(COCO_SIGMAS if points == len(COCO_SIGMAS) else [1 / points] * points)


def compute_oks(found: FloatArray, truth: FloatArray, boxes: FloatArray) -> FloatArray:
    """Compute the similarity (n, m), 0 to 1, of predicted poses and true ones.

    exp(-d^2 / (2 s^2 k^2)), averaged over the labelled points, where s^2 is the object's area and k twice the
    point's sigma. Where no point is labelled, d is the distance from the box, which is enlarged by its own
    size on each side: COCO uses it to leave detections of such objects out of the count.

    Args:
        found: (n, points, 2 or 3) x and y in pixels.
        truth: (m, points, 3) x and y in pixels, and visibility; 0 is not labelled.
        boxes: (m, 4) x1 y1 x2 y2 of the true objects in pixels.
    """
    extent = boxes[:, 2:] - boxes[:, :2]
    labelled = np.asarray(truth[:, :, 2] > 0)
    known = np.asarray(labelled.any(axis=1))
    places = found[:, None, :, :2]
    beside = _distance_outside(places, boxes[:, :2] - extent, boxes[:, 2:] + extent)
    apart = np.where(known[:, None, None], places - truth[None, :, :, :2], beside)
    area = PERSON_AREA_SHARE * extent.prod(axis=1) + np.spacing(1)
    scale = 2 * (2 * get_keypoint_sigmas(truth.shape[1])) ** 2 * area[:, None]
    similarity = np.exp(-(apart**2).sum(axis=3) / scale)
    counted = np.where(known[:, None], labelled, True)
    oks: FloatArray = (similarity * counted).sum(axis=2) / counted.sum(axis=1)
    return oks


def _distance_outside(places: FloatArray, low: FloatArray, high: FloatArray) -> FloatArray:
    """Return the distance of each place (n, 1, points, 2) from each box (m, 2), in x and in y; 0 inside."""
    return np.maximum(np.maximum(low[:, None] - places, places - high[:, None]), 0.0)
