"""Measure the objects of the prepared train images: their sizes as shares of their images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from pipeline.core.arrays import FloatArray
from pipeline.core.geometry.rotated_boxes import measure_rotated_sides
from pipeline.core.tasks import Task
from pipeline.dataset.labels import ImageLabels
from pipeline.dataset.manifest import ImageRecord, Manifest
from pipeline.dataset.prepared import read_labels

MAX_IMAGES_READ: Final = 5000
"""Images whose labels are read, evenly from all: a tenth percentile does not need 100,000 files."""


def measure_object_shares(folder: Path, manifest: Manifest) -> FloatArray:
    """Measure the square root of each object's area as a share (0..1) of the longer side of its image, (n,).

    Args:
        folder: The prepared dataset.
        manifest: Its manifest; of many train images, some are read.
    """
    images = select_evenly(manifest.in_split("train"), MAX_IMAGES_READ)
    shares = [_measure_image(folder, image, manifest.task) for image in images]
    return np.concatenate([np.zeros(0), *shares])


def select_evenly(images: Sequence[ImageRecord], most: int) -> list[ImageRecord]:
    """Select images evenly from all, at most so many."""
    count = min(most, len(images))
    return [images[index] for index in np.linspace(0, len(images) - 1, count, dtype=int)] if count else []


def _measure_image(folder: Path, image: ImageRecord, task: Task) -> FloatArray:
    if not image.classes:
        return np.zeros(0)
    labels = read_labels(folder / "labels" / image.label_file, task)
    extent = np.array([image.width, image.height], np.float64)
    shares: FloatArray = np.sqrt(_measure_areas(labels, extent, task)) / extent.max()
    return shares


def _measure_areas(labels: ImageLabels, extent: FloatArray, task: Task) -> FloatArray:
    """Return the areas (n,) in pixels of the boxes, for obb of the rotated ones."""
    if task != "obb":
        areas: FloatArray = (labels.boxes[:, 2:] * extent).prod(axis=1)
        return areas
    rotated: FloatArray = measure_rotated_sides([corners * extent for corners in labels.outlines]).prod(
        axis=1
    )
    return rotated
