"""What a mean over all images hides: metrics by size of the objects, recall, calibration, slices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from pipeline.core.metric_names import get_main_metric
from pipeline.core.tasks import Task
from pipeline.dataset.stored_predictions import PredictedImage
from pipeline.evaluate.further_metric_names import (
    AT_IMGSZ,
    ECE,
    WORST_SLICE,
    name_average_recall,
    name_size_metric,
)
from pipeline.evaluate.metrics.average_recall import compute_average_recalls
from pipeline.evaluate.metrics.calibration import ReliabilityBins, bin_classifications, bin_detections
from pipeline.evaluate.metrics.classification import ClassificationResult, ClassScores
from pipeline.evaluate.metrics.detection import DetectionResult, SplitPredictions, round_metrics
from pipeline.evaluate.metrics.subsets.object_sizes import (
    SizePrecision,
    compute_size_precisions,
    measure_areas,
)
from pipeline.evaluate.metrics.subsets.slice_metrics import (
    SliceRow,
    find_worst_slice,
    measure_classification_slices,
    measure_detection_slices,
)


class EvaluationDetails(NamedTuple):
    """Further metrics of a test split.

    Attributes:
        metrics: For metrics.json, by name.
        sizes: mAP50-95 and number of objects, by `small`, `medium`, `large`, and by the same names at imgsz.
        bins: The calibration of the scores.
        slices: A row per slice.
    """

    metrics: dict[str, float | str]
    sizes: dict[str, SizePrecision]
    bins: ReliabilityBins
    slices: list[SliceRow]

    def name_size_metrics(self, task: Task) -> dict[str, float]:
        """Return the mAP50-95 of all sizes by the names of metrics.json and MLflow."""
        return {
            name_size_metric(
                size.removesuffix(AT_IMGSZ), task, at_imgsz=size.endswith(AT_IMGSZ)
            ): row.map50_95
            for size, row in self.sizes.items()
            if row.map50_95 is not None
        }


def measure_details(
    result: DetectionResult | ClassificationResult,
    test: SplitPredictions | ClassScores,
    images: Sequence[PredictedImage],
    *,
    scales: Sequence[float],
) -> EvaluationDetails:
    """Compute the further metrics of a test split.

    Args:
        result: Its metrics.
        test: Its predictions.
        images: Its images with their slices.
        scales: The factor of each image's sides in the network's input.
    """
    slices = [image.slices for image in images]
    if isinstance(result, ClassificationResult):
        bins, rows = bin_classifications(result.scores), measure_classification_slices(result.scores, slices)
        return EvaluationDetails(_name_shared_metrics(bins, rows, "classify"), {}, bins, rows)
    assert isinstance(test, SplitPredictions)
    bins = bin_detections(result.table)
    rows = measure_detection_slices(result.table, slices, result.task, threshold=result.threshold)
    sizes = _measure_sizes(result, test, scales)
    details = EvaluationDetails({}, sizes, bins, rows)
    named = details.name_size_metrics(result.task)
    recalls = {
        name_average_recall(limit, result.task): value
        for limit, value in compute_average_recalls(result.table).items()
    }
    kept = {name: value for name, value in named.items() if not name.endswith(AT_IMGSZ)}
    return details._replace(
        metrics=round_metrics(kept | recalls) | _name_shared_metrics(bins, rows, result.task)
    )


def _measure_sizes(
    result: DetectionResult, test: SplitPredictions, scales: Sequence[float]
) -> dict[str, SizePrecision]:
    here = compute_size_precisions(measure_areas(*test, result.task), result.table)
    there = here
    if any(scale != 1 for scale in scales):
        there = compute_size_precisions(measure_areas(*test, result.task, scales=scales), result.table)
    return here | {f"{name}{AT_IMGSZ}": row for name, row in there.items()}


def _name_shared_metrics(
    bins: ReliabilityBins, rows: Sequence[SliceRow], task: Task
) -> dict[str, float | str]:
    """Return the calibration error, and the worst slice with its main metric."""
    metrics: dict[str, float | str] = {}
    if (error := bins.calibration_error) is not None:
        metrics[ECE] = error
    if worst := find_worst_slice(rows, task):
        main = get_main_metric(task)
        metrics |= {WORST_SLICE: worst["slice"], f"{main}_{WORST_SLICE}": worst[main]}
    return round_metrics(metrics)
