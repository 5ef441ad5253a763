"""Rank images by their errors: which are shown as worst."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pipeline.evaluate.metrics.classification import ClassificationResult
from pipeline.evaluate.metrics.error_types import CORRECT, ImageErrors


def rank_images_by_errors(images: Sequence[ImageErrors]) -> list[int]:
    """Return the images with errors: most errors first, then the highest score sum of wrong detections."""
    faulty = [index for index, image in enumerate(images) if image.error_count]
    keys = {index: (-images[index].error_count, -_sum_error_scores(images[index])) for index in faulty}
    return sorted(faulty, key=lambda index: (*keys[index], index))


def _sum_error_scores(image: ImageErrors) -> float:
    wrong = np.array([verdict != CORRECT for verdict in image.verdicts], bool)
    return float(image.detections.scores[wrong].sum())


def rank_misclassified_images(result: ClassificationResult) -> list[int]:
    """Return the images with a wrong most probable class, by descending probability of that class."""
    truth, classes, scores = result.scores
    wrong = np.flatnonzero(classes[:, 0] != truth)
    order: list[int] = wrong[np.argsort(-scores[wrong, 0], kind="stable")].tolist()
    return order
