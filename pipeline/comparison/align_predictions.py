"""Bring predictions of several models into one order of images, or refuse what cannot be compared."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from pipeline.core.arrays import IntArray
from pipeline.core.detections import Detections, GroundTruth
from pipeline.core.errors import UserError
from pipeline.core.tasks import Task
from pipeline.core.text import format_count
from pipeline.dataset.stored_predictions import PredictedImage, StoredPredictions
from pipeline.evaluate.metrics.similarity import attach_similarity

_Key = tuple[str, str, int]


def align_predictions(
    predictions: Sequence[StoredPredictions], labels: Sequence[str]
) -> list[StoredPredictions]:
    """Return the predictions in the order of the first ones' images, which are identified by their contents.

    Detections come with their similarity to the true objects, and without their masks, which are large.
    Predictions that were aligned before stay as they are.

    Args:
        predictions: Of the test split, of each model.
        labels: The names of the models, for messages.

    Raises:
        UserError: Task, classes, images or labels differ.
    """
    first = predictions[0]
    for other, label in zip(predictions[1:], labels[1:], strict=True):
        _require_same_task(first, other, (labels[0], label))
        _require_same_images(first, other, (labels[0], label))
    if not first.images:
        raise UserError("there are no test images to compare on: give the test split a share in data.split")
    sorted_places = [_sort_images(other) for other in predictions]
    ranks = np.argsort(sorted_places[0])  # of each image of the first predictions
    return [_reorder(other, order[ranks]) for other, order in zip(predictions, sorted_places, strict=True)]


def _require_same_task(first: StoredPredictions, other: StoredPredictions, labels: tuple[str, str]) -> None:
    if first.task != other.task:
        raise UserError(
            f"{labels[0]} is of the task {first.task}, {labels[1]} of {other.task}: compare one task"
        )
    if first.names != other.names:
        here, there = (", ".join(names) for names in (first.names, other.names))
        if sorted(first.names) == sorted(other.names):
            raise UserError(
                f"{labels[0]} and {labels[1]} have the same classes in another order ({here}; {there}): add "
                "--on REV to predict with both on the test images of one revision, such as --on workspace"
            )
        raise UserError(
            f"{labels[0]} and {labels[1]} have different classes and cannot be compared: {here}; {there}"
        )


def _require_same_images(first: StoredPredictions, other: StoredPredictions, labels: tuple[str, str]) -> None:
    here, there = (Counter(map(_identify, each.images)) for each in (first, other))
    if here == there:
        return
    contents = [Counter(image.sha256 for image in each.images) for each in (first, other)]
    counts = " and ".join(format_count(len(each.images), "image") for each in (first, other))
    shared = f"{(contents[0] & contents[1]).total():,} are the same"
    if contents[0] == contents[1]:
        counts, shared = (
            "the same images with different labels",
            f"{(here & there).total():,} labels are equal",
        )
    raise UserError(
        f"{labels[0]} and {labels[1]} were tested on different data ({counts}; {shared}): add --on REV to "
        "predict with all of them on the test images of one revision, such as --on workspace"
    )


def _identify(image: PredictedImage) -> _Key:
    return image.sha256, image.labels_sha256, -1 if image.cls is None else image.cls


def _sort_images(predictions: StoredPredictions) -> IntArray:
    """Return the places (images,) of the images by their contents."""
    images = predictions.images
    places = sorted(range(len(images)), key=lambda place: (*_identify(images[place]), images[place].file))
    return np.array(places, np.int64)


def _reorder(predictions: StoredPredictions, order: IntArray) -> StoredPredictions:
    if predictions.probabilities is not None:
        probabilities = predictions.probabilities[order]
        return replace(
            predictions,
            images=tuple(predictions.images[place] for place in order),
            probabilities=probabilities,
        )
    images = [predictions.images[place] for place in order]
    truths = [predictions.truths[place] for place in order]
    detections = [
        _attach(truth, predictions.detections[place], image, predictions.task)
        for place, image, truth in zip(order, images, truths, strict=True)
    ]
    return replace(predictions, images=tuple(images), truths=truths, detections=detections)


def _attach(truth: GroundTruth, found: Detections, image: PredictedImage, task: Task) -> Detections:
    if found.overlap is not None:
        return found
    return attach_similarity(truth, found, task, size=(image.width, image.height))
