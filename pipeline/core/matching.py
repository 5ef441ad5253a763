"""Which detection found which object: COCO's greedy matching, image by image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

IOUS: Final = np.linspace(0.5, 0.95, 10)
"""The overlaps that COCO averages over: 0.50, 0.55 ... 0.95."""


class Objects(NamedTuple):
    """The true objects of one image: boxes (n, 4) as x1, y1, x2, y2 in pixels, classes (n,)."""

    boxes: NDArray[np.float64]
    classes: NDArray[np.int64]


class Detections(NamedTuple):
    """What a model found in one image: boxes (n, 4) as in `Objects`, scores (n,) in 0..1, classes (n,)."""

    boxes: NDArray[np.float64]
    scores: NDArray[np.float64]
    classes: NDArray[np.int64]


@dataclass(frozen=True)
class Table:
    """All detections of a split, by descending score, each with what it hit.

    Args:
        images: (d,) index of the image it lies in.
        classes: (d,) its class.
        scores: (d,) its score, descending.
        hits: (d, 10) whether it found an object, at each of `IOUS`.
        objects: (images, classes) how many true objects there are.
    """

    images: NDArray[np.int64]
    classes: NDArray[np.int64]
    scores: NDArray[np.float64]
    hits: NDArray[np.bool_]
    objects: NDArray[np.int64]


def overlaps(first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the IoU (n, m) of the boxes (n, 4) with the boxes (m, 4), all as x1, y1, x2, y2."""
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum(first[:, None, 2:], second[None, :, 2:])
    shared = np.clip(high - low, 0, None).prod(axis=2)
    union = _areas(first)[:, None] + _areas(second)[None, :] - shared
    ious: NDArray[np.float64] = np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
    return ious


def match(truth: Objects, found: Detections) -> NDArray[np.int64]:
    """Return (detections, 10): the index of the object each detection found at each of `IOUS`, or -1.

    The rule is COCO's (cocoeval.py, evaluateImg): by descending score, each detection takes the object of its
    class that overlaps it most and is still free; of equal overlaps the last.
    """
    same = found.classes[:, None] == truth.classes[None, :]
    overlap = np.where(same, overlaps(found.boxes, truth.boxes), 0.0)
    taken = np.zeros((len(IOUS), len(truth.classes)), bool)
    matched = np.full((len(found.scores), len(IOUS)), -1, np.int64)
    near = overlap.max(axis=1, initial=0.0) >= IOUS[0]  # the others hit nothing at any overlap
    for row in np.argsort(-found.scores, kind="stable"):
        if near[row]:
            matched[row] = _take(np.where(taken, 0.0, overlap[row]), taken)
    return matched


def tabulate(truths: Sequence[Objects], found: Sequence[Detections], classes: int) -> Table:
    """Match every image of a split and put all detections in one table.

    Args:
        truths: The objects of each image.
        found: The detections of each image, in the same order.
        classes: How many classes the dataset has.
    """
    hits = [match(truth, seen) >= 0 for truth, seen in zip(truths, found, strict=True)]
    scores = np.concatenate([np.zeros(0), *(seen.scores for seen in found)])
    order = np.argsort(-scores, kind="stable")
    lengths = [len(seen.scores) for seen in found]
    return Table(
        images=np.repeat(np.arange(len(found)), lengths)[order],
        classes=np.concatenate([np.zeros(0, np.int64), *(seen.classes for seen in found)])[order],
        scores=scores[order],
        hits=np.concatenate([np.zeros((0, len(IOUS)), bool), *hits])[order],
        objects=np.array([np.bincount(t.classes, minlength=classes) for t in truths]).reshape(-1, classes),
    )


def _take(overlap: NDArray[np.float64], taken: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Choose the best free object at each IoU, (10,) or -1, and mark it in `taken` (10, objects)."""
    best = overlap.shape[1] - 1 - overlap[:, ::-1].argmax(axis=1)
    levels = np.arange(len(IOUS))
    enough = overlap[levels, best] >= IOUS
    taken[levels[enough], best[enough]] = True
    return np.where(enough, best, -1)


def _areas(boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    areas: NDArray[np.float64] = np.clip(boxes[:, 2:] - boxes[:, :2], 0, None).prod(axis=1)
    return areas
