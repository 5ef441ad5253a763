"""One evaluation: a threshold chosen on val, every figure measured on test."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.core.detections import Detections, GroundTruth
from pipeline.core.errors import UserError
from pipeline.core.tasks import Task
from pipeline.evaluate.metrics.average_precision import average_precisions
from pipeline.evaluate.metrics.bootstrap import Interval, intervals
from pipeline.evaluate.metrics.error_types import ImageErrors, judge
from pipeline.evaluate.metrics.matching import DetectionTable, tabulate
from pipeline.evaluate.metrics.similarity import by_boxes
from pipeline.evaluate.metrics.thresholds import ThresholdCurves, average, best_threshold, operate

OWN: Final[dict[Task, str]] = {"segment": "mask/", "pose": "pose/"}
"""What the figures of a task's own measure begin with; those of boxes, rotated or not, are plain."""


class SplitPredictions(NamedTuple):
    """The objects and the detections of each image, in the same order."""

    truths: Sequence[GroundTruth]
    found: Sequence[Detections]

    def part(self, images: slice) -> SplitPredictions:
        """Return some of the images."""
        return SplitPredictions(self.truths[images], self.found[images])


class MeanPrecisions(NamedTuple):
    """Average precision by one measure.

    Attributes:
        aps: (classes, 10) average precision; NaN for a class without objects.
        maps: mAP50-95 and mAP50 with their intervals.
    """

    aps: NDArray[np.float64]
    maps: dict[str, Interval]


@dataclass(frozen=True)
class DetectionResult:
    """What was measured on the test split.

    Args:
        task: What decides whether a detection found an object: the IoU of boxes (detect), of rotated boxes
            (obb), of masks (segment), or the similarity of poses (pose).
        names: The class names by index.
        table: The matched detections.
        own: Average precision by the task's measure.
        boxes: Average precision by upright boxes, where the task's measure is of masks or poses.
        threshold: The score from which a detection counts.
        chosen_on: The split that the threshold was chosen on.
        at: Precision, recall and F1 (1, classes) at the threshold.
        outcomes: Each image, judged at the threshold.
    """

    task: Task
    names: tuple[str, ...]
    table: DetectionTable
    own: MeanPrecisions
    boxes: MeanPrecisions | None
    threshold: float
    chosen_on: Literal["val", "test"]
    at: ThresholdCurves
    outcomes: tuple[ImageErrors, ...]


class MetricSettings(NamedTuple):
    """What is measured, and how.

    Attributes:
        task: Any but classify.
        names: Class names by index.
        resamples: Of the test images behind the intervals.
        seed: Of the resamples.
    """

    task: Task
    names: tuple[str, ...]
    resamples: int
    seed: int


def evaluate(test: SplitPredictions, val: SplitPredictions, terms: MetricSettings) -> DetectionResult:
    """Measure on `test` at the threshold of the highest mean F1 on `val`.

    A threshold chosen on the images it is judged by flatters. Where val has no objects there is no other way,
    and `chosen_on` says so.

    Raises:
        Refused: There is nothing to find on test.
    """
    table, other = (tabulate(*split, len(terms.names)) for split in (test, val))
    if not table.objects.any():
        labelled = "has a labelled point" if terms.task == "pose" else "is labelled"
        raise UserError(
            f"no object of the test split {labelled}: add some, or give it a larger share in data.split"
        )
    chosen_on: Literal["val", "test"] = "val" if other.objects.any() else "test"
    threshold = best_threshold(other if chosen_on == "val" else table)
    return DetectionResult(
        task=terms.task,
        names=terms.names,
        table=table,
        own=_precisions(table, terms),
        boxes=_of_boxes(test, terms) if terms.task in OWN else None,
        threshold=threshold,
        chosen_on=chosen_on,
        at=operate(table, np.array([threshold])),
        outcomes=tuple(judge(truth, found, threshold) for truth, found in zip(*test, strict=True)),
    )


def figures(evaluation: DetectionResult) -> dict[str, Any]:
    """Return what metrics.json holds: `test`, and `per_class` for the classes that the test split has.

    Boxes go by plain names; masks and poses by the same names behind `mask/` and `pose/`.
    """
    objects = evaluation.table.objects.sum(axis=0)
    own, at = OWN.get(evaluation.task, ""), evaluation.at
    test: dict[str, float | str] = _maps(evaluation.own, own)
    for name, figure in (("precision", at.precision), ("recall", at.recall), ("F1", at.f1)):
        test[own + name] = float(average(figure)[0])
    test |= _maps(evaluation.boxes, "") if evaluation.boxes else {}
    test |= {"threshold": evaluation.threshold, "threshold_from": evaluation.chosen_on}
    test |= {"images": len(evaluation.table.objects), "objects": int(objects.sum())}
    classes = {evaluation.names[cls]: _of_class(evaluation, int(cls)) for cls in np.flatnonzero(objects)}
    return {"test": rounded(test), "per_class": {name: rounded(row) for name, row in classes.items()}}


def rounded(row: dict[str, float | str]) -> dict[str, float | str]:
    """Keep five decimals: more would make the difference between two machines look like one of models."""
    return {key: round(value, 5) if isinstance(value, float) else value for key, value in row.items()}


def _of_boxes(split: SplitPredictions, terms: MetricSettings) -> MeanPrecisions:
    pairs = [by_boxes(truth, found) for truth, found in zip(*split, strict=True)]
    table = tabulate([truth for truth, _ in pairs], [found for _, found in pairs], len(terms.names))
    return _precisions(table, terms)


def _precisions(table: DetectionTable, terms: MetricSettings) -> MeanPrecisions:
    return MeanPrecisions(
        average_precisions(table)[0], intervals(table, times=terms.resamples, seed=terms.seed)
    )


def _maps(precisions: MeanPrecisions, own: str) -> dict[str, float | str]:
    return {
        own + name + bound: value
        for name, interval in precisions.maps.items()
        for bound, value in (("", interval.value), ("_low", interval.low), ("_high", interval.high))
    }


def _of_class(evaluation: DetectionResult, cls: int) -> dict[str, float | str]:
    own, at = OWN.get(evaluation.task, ""), evaluation.at
    row: dict[str, float | str] = _average(evaluation.own, cls, own)
    row |= {
        f"{own}precision": float(at.precision[0, cls]),
        f"{own}recall": float(at.recall[0, cls]),
        f"{own}F1": float(at.f1[0, cls]),
    }
    row |= _average(evaluation.boxes, cls, "") if evaluation.boxes else {}
    return row | {"objects": int(evaluation.table.objects[:, cls].sum())}


def _average(precisions: MeanPrecisions, cls: int, own: str) -> dict[str, float | str]:
    return {f"{own}AP50-95": float(precisions.aps[cls].mean()), f"{own}AP50": float(precisions.aps[cls, 0])}
