"""Metrics of classification: top-1, top-5, and precision, recall and F1 of each class."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np

from pipeline.core.arrays import BoolArray, FloatArray, IntArray
from pipeline.core.metric_names import F1, PRECISION, RECALL, TOP1, TOP5
from pipeline.evaluate.metrics.bootstrap import Interval, average_drawn, compute_interval
from pipeline.evaluate.metrics.confidence_threshold import average_over_classes
from pipeline.evaluate.metrics.confusion import count_class_confusions
from pipeline.evaluate.metrics.detection import round_metrics
from pipeline.evaluate.metrics.matching import IOU_THRESHOLDS, DetectionTable

TOP_CLASSES: Final = 5
"""So many classes of each image are kept, the most probable ones: there may be a thousand."""


class ClassScores(NamedTuple):
    """The true classes of images, and the most probable classes that a model predicts.

    Attributes:
        truth: (images,) the class of each image.
        classes: (images, k) the most probable classes, at most five, by descending probability.
        scores: (images, k) their probabilities.
    """

    truth: IntArray
    classes: IntArray
    scores: FloatArray

    def select(self, images: slice | BoolArray) -> ClassScores:
        """Return some of the images."""
        return ClassScores(self.truth[images], self.classes[images], self.scores[images])


@dataclass(frozen=True)
class ClassificationResult:
    """The metrics of a test split.

    Args:
        names: Class names by index.
        scores: True and predicted classes of the images.
        top1: Share of the images whose most probable class is right.
        top5: Share of the images with the right class among the first five.
    """

    names: tuple[str, ...]
    scores: ClassScores
    top1: Interval
    top5: Interval

    def count_confusions(self) -> IntArray:
        """Return the confusion matrix (classes, classes)."""
        return count_class_confusions(self.scores.truth, self.scores.classes[:, 0], len(self.names))


def select_top_classes(probabilities: Iterable[FloatArray]) -> tuple[IntArray, FloatArray]:
    """Return the most probable classes of each image and their scores, given its probabilities (classes,)."""
    classes, scores = [], []
    for row in probabilities:
        first = np.argsort(-row, kind="stable")[:TOP_CLASSES]
        classes.append(first)
        scores.append(row[first])
    return np.array(classes, np.int64).reshape(len(classes), -1), np.array(scores).reshape(len(scores), -1)


def evaluate_classification(
    scores: ClassScores, names: tuple[str, ...], groups: IntArray, *, resamples: int, seed: int
) -> ClassificationResult:
    """Compute top-1 and top-5 of a split of one image or more.

    Args:
        scores: True and predicted classes of the images.
        names: Class names by index.
        groups: (images,) as in `resample_images`.
        resamples: Of the images, for the 95% intervals; 0: none.
        seed: Of the resamples.
    """
    right = scores.classes == scores.truth[:, None]
    drawn = average_drawn(groups, resamples, seed=seed)
    count = len(np.unique(groups))
    least = float(len(names) <= TOP_CLASSES)  # of so few classes, the right one is always among the first
    top1, top5 = (
        compute_interval(float(hits.mean()), drawn @ hits, groups=count, limits=(low, 1.0))
        for hits, low in (
            (right[:, 0].astype(np.float64), 0.0),
            (right.any(axis=1).astype(np.float64), least),
        )
    )
    return ClassificationResult(names, scores, top1, top5)


def collect_classification_metrics(result: ClassificationResult) -> dict[str, Any]:
    """Return what metrics.json holds: `test`, and `per_class` for the classes that the test split has."""
    test: dict[str, float | str] = {**result.top1.name_bounds(TOP1), **result.top5.name_bounds(TOP5)}
    per_class = _collect_class_metrics(result)
    for name in (PRECISION, RECALL, F1):
        column = [row[name] for row in per_class.values()]
        test[name] = float(average_over_classes(np.array(column, np.float64)[None])[0])
    test |= {"images": len(result.scores.truth)}
    rows = {name: round_metrics(row) for name, row in per_class.items()}
    return {"test": round_metrics(test), "per_class": rows}


def build_class_table(result: ClassificationResult) -> DetectionTable:
    """Build a table for curves of each class against the rest: predicted classes as detections of objects."""
    truth, classes, scores = result.scores
    order = np.argsort(-scores.ravel(), kind="stable")
    hits = (classes == truth[:, None]).ravel()[order]
    return DetectionTable(
        images=np.repeat(np.arange(len(truth)), classes.shape[1])[order],
        classes=classes.ravel()[order],
        scores=scores.ravel()[order],
        hits=np.repeat(hits[:, None], len(IOU_THRESHOLDS), axis=1),
        ignored=np.zeros((len(order), len(IOU_THRESHOLDS)), bool),
        objects=(truth[:, None] == np.arange(len(result.names))).astype(np.int64),
    )


def _collect_class_metrics(result: ClassificationResult) -> dict[str, dict[str, float | str]]:
    matrix = result.count_confusions()
    right, actual, predicted = np.diag(matrix), matrix.sum(axis=1), matrix.sum(axis=0)
    return {
        result.names[cls]: {
            PRECISION: float(right[cls] / max(1, predicted[cls])),
            RECALL: float(right[cls] / actual[cls]),
            F1: float(2 * right[cls] / (actual[cls] + predicted[cls])),
            "images": int(actual[cls]),
        }
        for cls in np.flatnonzero(actual)
    }
