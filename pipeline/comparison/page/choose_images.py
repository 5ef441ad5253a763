"""Choose the images that show best where one model wins and where it loses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

from pipeline.core.arrays import FloatArray
from pipeline.dataset.stored_predictions import StoredPredictions
from pipeline.evaluate.metrics.error_types import CORRECT, ImageErrors, assign_error_types

DEFAULT_THRESHOLD: Final = 0.25
"""Where no threshold was chosen on val."""


class ImageBalance(NamedTuple):
    """The test images on which two models differ.

    Attributes:
        won: Indices of the images on which the second model is better, the clearest first.
        lost: Those on which it is worse.
        equal: Number of images on which both make as many errors.
    """

    won: tuple[int, ...]
    lost: tuple[int, ...]
    equal: int


def balance_images(first: FloatArray, second: FloatArray) -> ImageBalance:
    """Sort the images by how much the errors of two models differ.

    Args:
        first: (images, 2) the first model's number of errors, and what decides between images of equal
            differences: the more certain its errors, the higher.
        second: (images, 2) of the second model.
    """
    gained = first - second
    order = np.lexsort((-gained[:, 1], -gained[:, 0]))
    won = tuple(int(place) for place in order if gained[place, 0] > 0)
    lost = tuple(int(place) for place in order[::-1] if gained[place, 0] < 0)
    return ImageBalance(won, lost, len(gained) - len(won) - len(lost))


def list_errors(predictions: StoredPredictions, threshold: float | None) -> list[ImageErrors]:
    """Return the errors of each image at a threshold; not of classify.

    Args:
        predictions: As `align_predictions` returns them.
        threshold: Chosen on val; None where it is unknown.
    """
    used = DEFAULT_THRESHOLD if threshold is None else threshold
    return [
        assign_error_types(truth, found, used)
        for truth, found in zip(predictions.truths, predictions.detections, strict=True)
    ]


def measure_errors(images: Sequence[ImageErrors]) -> FloatArray:
    """Return (images, 2) the number of errors, and the sum of the scores of wrong detections."""
    rows = [
        (image.error_count, image.detections.scores[np.array(image.verdicts, object) != CORRECT].sum())
        for image in images
    ]
    return np.array(rows, np.float64).reshape(-1, 2)


def measure_class_errors(predictions: StoredPredictions) -> FloatArray:
    """Return (images, 2) of classify: 1 for a wrong first guess, and how far the true class is from 1."""
    assert predictions.probabilities is not None
    truth = np.array([image.cls for image in predictions.images], np.int64)
    own = predictions.probabilities[np.arange(len(truth)), truth]
    wrong = predictions.probabilities.argmax(axis=1) != truth
    return np.column_stack([wrong, 1 - own]).astype(np.float64)
