"""Average precision of small, medium and large objects, as COCO defines it (cocoeval.py, evaluateImg)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final, NamedTuple

import numpy as np

from pipeline.core.arrays import BoolArray, FloatArray, IntArray
from pipeline.core.detections import Detections, GroundTruth
from pipeline.core.geometry.object_areas import compute_detection_areas, compute_object_areas
from pipeline.core.tasks import Task
from pipeline.evaluate.metrics.average_precision import compute_average_precisions, compute_mean_ap
from pipeline.evaluate.metrics.matching import DetectionTable, match_detections

SIZE_LIMITS: Final = {"small": (0.0, 32.0**2), "medium": (32.0**2, 96.0**2), "large": (96.0**2, 1e10)}
"""Areas in pixels; an object on a limit counts in both, as in COCO."""


class SizePrecision(NamedTuple):
    """Average precision of the objects of one size.

    Attributes:
        map50_95: Over the classes with such objects; None where there are none.
        objects: Number of objects.
    """

    map50_95: float | None
    objects: int


class SizedImage(NamedTuple):
    """One image with the areas of its objects and detections.

    Attributes:
        truth: The objects.
        found: The detections.
        object_areas: (m,) in pixels.
        detection_areas: (n,) in pixels.
    """

    truth: GroundTruth
    found: Detections
    object_areas: FloatArray
    detection_areas: FloatArray


def measure_areas(
    truths: Sequence[GroundTruth],
    detections: Sequence[Detections],
    task: Task,
    *,
    scales: Sequence[float] | None = None,
) -> list[SizedImage]:
    """Compute the areas of all objects and detections.

    Args:
        truths: The objects of each image.
        detections: The detections of each image.
        task: Decides what the area is of.
        scales: The factor of each image's sides, for areas in pixels at another image size; 1 by default.
    """
    factors = [1.0] * len(truths) if scales is None else scales
    return [
        SizedImage(
            truth,
            found,
            compute_object_areas(truth, task) * factor**2,
            compute_detection_areas(found, task) * factor**2,
        )
        for truth, found, factor in zip(truths, detections, factors, strict=True)
    ]


def compute_size_precisions(images: Sequence[SizedImage], table: DetectionTable) -> dict[str, SizePrecision]:
    """Compute the mAP50-95 of small, medium and large objects.

    Args:
        images: All images of a split.
        table: Their matched detections.
    """
    return {name: _compute_precision(sized) for name, sized in build_size_tables(images, table).items()}


def build_size_tables(images: Sequence[SizedImage], table: DetectionTable) -> dict[str, DetectionTable]:
    """Match small, medium and large objects alone.

    Objects of other sizes do not count, and neither do detections of other sizes that match no object.

    Args:
        images: All images of a split.
        table: Their matched detections.
    """
    matches = [match_detections(each.truth, each.found, _all_count(each)) for each in images]
    return {
        name: _build_size_table(table, list(zip(images, matches, strict=True)), limits)
        for name, limits in SIZE_LIMITS.items()
    }


def _all_count(image: SizedImage) -> BoolArray:
    return np.ones(len(image.truth.classes), bool)


def _compute_precision(sized: DetectionTable) -> SizePrecision:
    objects = int(sized.objects.sum())
    value = float(compute_mean_ap(compute_average_precisions(sized))[0])
    return SizePrecision(value if objects else None, objects)


def _build_size_table(
    table: DetectionTable, images: Sequence[tuple[SizedImage, IntArray]], limits: tuple[float, float]
) -> DetectionTable:
    parts = [_find_size_hits(image, matched, limits) for image, matched in images]
    scores = np.concatenate([np.zeros(0), *(image.found.scores for image, _ in images)])
    order = np.argsort(-scores, kind="stable")  # as in the table
    none = np.zeros((0, table.hits.shape[1]), bool)
    counts = [
        np.bincount(image.truth.classes[counted], minlength=table.objects.shape[1])
        for (image, _), (_, _, counted) in zip(images, parts, strict=True)
    ]
    return replace(
        table,
        hits=np.concatenate([none, *(hits for hits, _, _ in parts)])[order],
        ignored=np.concatenate([none, *(ignored for _, ignored, _ in parts)])[order],
        objects=np.array(counts, np.int64).reshape(table.objects.shape),
    )


def _find_size_hits(
    image: SizedImage, matched: IntArray, limits: tuple[float, float]
) -> tuple[BoolArray, BoolArray, BoolArray]:
    """Return which detections are hits or ignored (d, 10), and which objects count (m,).

    Args:
        image: The image.
        matched: The matches where all objects count; those where none counts are the same.
        limits: The lowest and the highest area.
    """
    low, high = limits
    inside = (image.object_areas >= low) & (image.object_areas <= high)
    counted = image.truth.counted & inside
    if counted.any() and not counted.all():
        matched = match_detections(image.truth, image.found, counted)
    hits = np.append(counted, False)[matched]
    outside = (image.detection_areas < low) | (image.detection_areas > high)
    return hits, np.where(matched >= 0, ~hits, outside[:, None]), counted
