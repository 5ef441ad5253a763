"""Metrics of detection tasks: the threshold is chosen on val, and every metric is computed on test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import compress
from typing import Any, Literal, NamedTuple

import numpy as np

from pipeline.core.arrays import BoolArray, FloatArray, IntArray
from pipeline.core.detections import Detections, GroundTruth
from pipeline.core.errors import UserError
from pipeline.core.metric_names import F1, MAP50, MAP50_95, METRICS, PRECISION, RECALL, TASK_PREFIXES
from pipeline.core.tasks import Task
from pipeline.evaluate.metrics.average_precision import compute_average_precisions
from pipeline.evaluate.metrics.bootstrap import Interval, compute_map_intervals
from pipeline.evaluate.metrics.confidence_threshold import (
    ThresholdCurves,
    average_over_classes,
    compute_threshold_curves,
    find_best_threshold,
)
from pipeline.evaluate.metrics.error_types import ImageErrors, assign_error_types
from pipeline.evaluate.metrics.matching import DetectionTable, build_detection_table
from pipeline.evaluate.metrics.similarity import keep_boxes_only


class SplitPredictions(NamedTuple):
    """The objects and the detections of each image, in the same order."""

    truths: Sequence[GroundTruth]
    detections: Sequence[Detections]

    def select(self, images: slice | BoolArray) -> SplitPredictions:
        """Return some of the images."""
        if isinstance(images, slice):
            return SplitPredictions(self.truths[images], self.detections[images])
        truths, detections = compress(self.truths, images), compress(self.detections, images)
        return SplitPredictions(list(truths), list(detections))


class MeanPrecisions(NamedTuple):
    """Average precision by one measure of overlap.

    Attributes:
        aps: (classes, 10) average precision; NaN for a class without objects.
        maps: mAP50-95 and mAP50 with their intervals.
    """

    aps: FloatArray
    maps: dict[str, Interval]


@dataclass(frozen=True)
class DetectionResult:
    """The metrics of a test split.

    Args:
        task: Decides the measure of overlap: the IoU of boxes (detect), of rotated boxes (obb), of masks
            (segment), or the similarity of poses (pose).
        names: Class names by index.
        table: The matched detections.
        task_precisions: Average precision by the task's measure.
        box_precisions: Average precision by upright boxes, where the task's measure is of masks or poses.
        threshold: The score from which a detection counts.
        threshold_split: The split that the threshold was chosen on.
        at_threshold: Precision, recall and F1 (1, classes) at the threshold.
        image_errors: The errors of each image at the threshold.
    """

    task: Task
    names: tuple[str, ...]
    table: DetectionTable
    task_precisions: MeanPrecisions
    box_precisions: MeanPrecisions | None
    threshold: float
    threshold_split: Literal["val", "test"]
    at_threshold: ThresholdCurves
    image_errors: tuple[ImageErrors, ...]


class MetricSettings(NamedTuple):
    """What is computed, and how.

    Attributes:
        task: Any but classify.
        names: Class names by index.
        groups: (test images,) index of each image's group, as in `bootstrap.resample_images`.
        resamples: Of the test images, for the intervals.
        seed: Of the resamples.
        conf: The score from which detections were predicted, 0 to 1.
    """

    task: Task
    names: tuple[str, ...]
    groups: IntArray
    resamples: int
    seed: int
    conf: float = 0.0


def evaluate_detections(
    test: SplitPredictions, val: SplitPredictions, settings: MetricSettings
) -> DetectionResult:
    """Compute the metrics of `test` at the threshold of the highest mean F1 on `val`.

    A threshold chosen on the test images would make them look better than they are. Where val has no objects
    there is no other way, and `threshold_split` says so.

    Raises:
        UserError: The test split has no object.
    """
    table, val_table = (build_detection_table(*split, len(settings.names)) for split in (test, val))
    if not table.objects.any():
        labelled = "has a labelled point" if settings.task == "pose" else "is labelled"
        raise UserError(
            f"no object of the test split {labelled}: add some, or give it a larger share in data.split"
        )
    threshold_split: Literal["val", "test"] = "val" if val_table.objects.any() else "test"
    chosen_on = val_table if threshold_split == "val" else table
    threshold = find_best_threshold(chosen_on, least=settings.conf)
    return DetectionResult(
        task=settings.task,
        names=settings.names,
        table=table,
        task_precisions=_compute_precisions(table, settings),
        box_precisions=_compute_box_precisions(test, settings) if settings.task in TASK_PREFIXES else None,
        threshold=threshold,
        threshold_split=threshold_split,
        at_threshold=compute_threshold_curves(table, np.array([threshold])),
        image_errors=tuple(assign_error_types(*image, threshold) for image in zip(*test, strict=True)),
    )


def collect_detection_metrics(result: DetectionResult) -> dict[str, Any]:
    """Return what metrics.json holds: `test`, and `per_class` for the classes that the test split has."""
    objects = result.table.objects.sum(axis=0)
    prefix, at = TASK_PREFIXES.get(result.task, ""), result.at_threshold
    test: dict[str, float | str] = {**_name_maps(result.task_precisions, prefix)}
    for name, values in ((PRECISION, at.precision), (RECALL, at.recall), (F1, at.f1)):
        test[prefix + name] = float(average_over_classes(values)[0])
    test |= _name_maps(result.box_precisions, "") if result.box_precisions else {}
    test |= {"threshold": result.threshold, "threshold_from": result.threshold_split}
    test |= {"images": len(result.table.objects), "objects": int(objects.sum())}
    rows = {result.names[cls]: _collect_class_metrics(result, int(cls)) for cls in np.flatnonzero(objects)}
    return {
        "test": round_metrics(test),
        "per_class": {name: round_metrics(row) for name, row in rows.items()},
    }


def round_metrics(row: Mapping[str, float | str]) -> dict[str, float | str]:
    """Keep five decimals: with more, the difference between two machines would look like one of models."""
    return {key: round(value, 5) if isinstance(value, float) else value for key, value in row.items()}


def _compute_box_precisions(split: SplitPredictions, settings: MetricSettings) -> MeanPrecisions:
    pairs = [keep_boxes_only(truth, found) for truth, found in zip(*split, strict=True)]
    table = build_detection_table(
        [truth for truth, _ in pairs], [found for _, found in pairs], len(settings.names)
    )
    return _compute_precisions(table, settings)


def _compute_precisions(table: DetectionTable, settings: MetricSettings) -> MeanPrecisions:
    return MeanPrecisions(
        compute_average_precisions(table)[0],
        compute_map_intervals(table, settings.groups, times=settings.resamples, seed=settings.seed),
    )


def _name_maps(precisions: MeanPrecisions, prefix: str) -> dict[str, float]:
    rows = (interval.name_bounds(prefix + name) for name, interval in precisions.maps.items())
    return {name: value for row in rows for name, value in row.items()}


def _collect_class_metrics(result: DetectionResult, cls: int) -> dict[str, float | str]:
    prefix, at = TASK_PREFIXES.get(result.task, ""), result.at_threshold
    row = _name_class_precisions(result.task_precisions, cls, prefix)
    for name, values in ((PRECISION, at.precision), (RECALL, at.recall), (F1, at.f1)):
        row[prefix + name] = float(values[0, cls])
    row |= _name_class_precisions(result.box_precisions, cls, "") if result.box_precisions else {}
    return row | {"objects": int(result.table.objects[:, cls].sum())}


def _name_class_precisions(precisions: MeanPrecisions, cls: int, prefix: str) -> dict[str, float | str]:
    values = {MAP50_95: precisions.aps[cls].mean(), MAP50: precisions.aps[cls, 0]}
    return {METRICS[prefix + name].per_class: float(value) for name, value in values.items()}
