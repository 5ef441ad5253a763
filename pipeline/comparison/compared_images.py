"""The test images that models are compared on: resampled in groups, with their true objects and slices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np

from pipeline.comparison.statistics.cluster_resamples import ClusterResamples, merge_groups, resample_groups
from pipeline.core.arrays import BoolArray, IntArray
from pipeline.core.metric_names import MAP50, MAP50_95
from pipeline.core.tasks import Task
from pipeline.dataset.stored_predictions import StoredPredictions
from pipeline.evaluate.metrics.subsets.image_slices import build_slice_masks

SLICE_RESAMPLES: Final = 500
"""Resamples of a slice: there may be dozens of slices, and a standard error needs no more."""
_BOX_FIGURES: Final = frozenset({MAP50_95, MAP50})
"""Of boxes in every task that has some; those of outlines and poses have a prefix."""


class ComparedImages(NamedTuple):
    """The test images, which all models have in common.

    Attributes:
        task: The task.
        names: Class names by index.
        resamples: The weightings of the images.
        objects: (images, classes) true objects that the main figure counts.
        boxes: (images, classes) true objects with those that only figures of boxes count: poses without a
            labelled point.
        slices: Mask (images,) of each slice.
    """

    task: Task
    names: tuple[str, ...]
    resamples: ClusterResamples
    objects: IntArray
    boxes: IntArray
    slices: Mapping[str, BoolArray]

    @property
    def has_objects(self) -> BoolArray:
        """Whether each image (images,) has an object that counts; of classify each has."""
        return np.asarray(self.objects.any(axis=1))

    def get_objects(self, figure: str) -> IntArray:
        """Return the objects (images, classes) that a figure counts, by its name."""
        return self.boxes if figure in _BOX_FIGURES else self.objects

    def count_groups(self, images: BoolArray) -> int:
        """Count the groups of some of the images (images,)."""
        return len(np.unique(self.resamples.groups[images]))

    def find_class_groups(self, objects: IntArray) -> BoolArray:
        """Find the groups that have objects of a class (groups, classes), by objects (images, classes)."""
        held = np.zeros((self.resamples.group_count, objects.shape[1]), bool)
        images, classes = np.nonzero(objects)
        held[self.resamples.groups[images], classes] = True
        return held


def build_compared_images(
    predictions: Sequence[StoredPredictions], resamples: int, *, seed: int
) -> ComparedImages:
    """Resample the test images; a resample without any object is left out: it has nothing to average.

    Images are in one group if the predictions of any model say so, and the slices are of the first model that
    has some: older predictions know none.

    Args:
        predictions: Of each model, in one order of images.
        resamples: How many.
        seed: Of the draws.
    """
    groups = merge_groups([[image.group for image in each.images] for each in predictions])
    objects = count_class_objects(predictions[0])
    drawn = resample_groups(groups, resamples, seed=seed)
    kept = np.asarray((drawn.weights @ objects).any(axis=1))
    kept[0] = True
    named = ([image.slices for image in each.images] for each in predictions)
    slices = next((found for each in named if (found := build_slice_masks(each))), {})
    boxes = count_class_objects(predictions[0], has_boxes_only=True)
    return ComparedImages(
        predictions[0].task, predictions[0].names, drawn.select(kept), objects, boxes, slices
    )


def count_class_objects(predictions: StoredPredictions, *, has_boxes_only: bool = False) -> IntArray:
    """Count the true objects (images, classes) that metrics count; of classify each image is one.

    Args:
        predictions: They have the objects.
        has_boxes_only: Whether poses without a labelled point count, too, as they do for figures of boxes.
    """
    classes = len(predictions.names)
    if predictions.task == "classify":
        return np.asarray(list_true_classes(predictions)[:, None] == np.arange(classes), np.int64)
    chosen = [
        truth.classes if has_boxes_only else truth.classes[truth.counted] for truth in predictions.truths
    ]
    rows = [np.bincount(each, minlength=classes) for each in chosen]
    return np.array(rows, np.int64).reshape(-1, classes)


def list_true_classes(predictions: StoredPredictions) -> IntArray:
    """Return the class (images,) of each image of classify."""
    return np.array([-1 if image.cls is None else image.cls for image in predictions.images], np.int64)
