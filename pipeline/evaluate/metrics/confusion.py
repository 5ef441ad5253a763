"""Confusion matrices of detection and classification.

Detections count from a threshold of the score: that of the best F1 (thresholds.find_best_threshold).
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from pipeline.core.arrays import IntArray
from pipeline.evaluate.metrics.error_types import CORRECT, WRONG_CLASS, ImageErrors


def count_detection_confusions(images: Iterable[ImageErrors], classes: int) -> IntArray:
    """Count the confusion matrix (classes + 1, classes + 1), true by predicted; the last is the background.

    A localization error counts as a missed object and a false positive: the diagonal is what precision and
    recall count.
    """
    matrix = np.zeros((classes + 1, classes + 1), np.int64)
    for image in images:
        paired = np.isin(image.verdicts, [CORRECT, WRONG_CLASS])
        actual = np.where(paired, np.append(image.truth.classes, classes)[image.partners], classes)
        np.add.at(matrix, (actual, image.detections.classes), 1)
        missed = np.setdiff1d(np.flatnonzero(image.truth.counted), image.partners[paired])
        np.add.at(matrix[:, classes], image.truth.classes[missed], 1)
    return matrix


def count_class_confusions(truth: IntArray, predicted: IntArray, classes: int) -> IntArray:
    """Count the confusion matrix (classes, classes) of true class and most probable class.

    Args:
        truth: (images,) the class of each image.
        predicted: (images,) its most probable class.
        classes: The number of classes.
    """
    return np.bincount(truth * classes + predicted, minlength=classes * classes).reshape(classes, classes)
