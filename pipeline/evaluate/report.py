"""Write reports/evaluation: CSV files for DVC's plots, the same as pictures, and the worst images."""

from __future__ import annotations

import csv
import io
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import cv2
import numpy as np
from PIL import Image

from pipeline.core.arrays import FloatArray, IntArray
from pipeline.core.metric_names import F1, MAP50, METRICS, PRECISION, RECALL
from pipeline.core.tasks import Task
from pipeline.evaluate.error_pictures import draw_classification_error, draw_detection_errors
from pipeline.evaluate.metrics.average_precision import RECALL_LEVELS, compute_precision_curve
from pipeline.evaluate.metrics.classification import ClassificationResult, build_class_table
from pipeline.evaluate.metrics.confidence_threshold import (
    CONFIDENCE_THRESHOLDS,
    average_over_classes,
    compute_threshold_curves,
)
from pipeline.evaluate.metrics.confusion import count_detection_confusions
from pipeline.evaluate.metrics.detection import DetectionResult
from pipeline.evaluate.metrics.matching import DetectionTable
from pipeline.evaluate.metrics.worst_images import rank_images_by_errors, rank_misclassified_images
from pipeline.storage.files import write_file
from pipeline.visualize.plots import (
    ClassCurves,
    plot_confusion_matrix,
    plot_f1_confidence,
    plot_precision_recall,
)

BACKGROUND: Final = "background"
F1_CSV_STEP: Final = 10
"""The F1 curve's CSV holds every tenth threshold: 0.00, 0.01 ... 1.00."""
MATCH_CRITERIA: Final[dict[Task, str]] = {
    "detect": "IoU 0.5",
    "obb": "rotated IoU 0.5",
    "segment": "mask IoU 0.5",
    "pose": "OKS 0.5",
}
"""When a detection is correct, as the titles of the plots say."""


class CurveInputs(NamedTuple):
    """Data of the precision-recall and F1 curves.

    Attributes:
        table: The matched detections, or classes of images.
        names: Class names by index.
        threshold: The chosen one; None for a task without.
        criterion: When a detection is correct.
    """

    table: DetectionTable
    names: Sequence[str]
    threshold: float | None
    criterion: str

    @property
    def present(self) -> list[tuple[int, str]]:
        """Index and name of the classes that have objects."""
        return [(cls, self.names[cls]) for cls in np.flatnonzero(self.table.objects.any(axis=0)).tolist()]


def write_evaluation_report(
    folder: Path, result: DetectionResult | ClassificationResult, images: Sequence[Path], *, worst: int
) -> None:
    """Write plots, their data, and pictures of the worst images, under the same names for all tasks.

    Args:
        folder: An existing folder.
        result: The metrics of the test split.
        images: The test images, in the order of the result.
        worst: Maximum number of pictures of images with errors.
    """
    if isinstance(result, ClassificationResult):
        _write_classification_plots(folder, result)
        order = rank_misclassified_images(result)
    else:
        _write_detection_plots(folder, result)
        order = rank_images_by_errors(result.image_errors)
    for place, index in enumerate(order[:worst], 1):
        sheet = _draw_error_sheet(result, index, images[index])
        target = folder / "worst" / f"{place:02d}_{images[index].stem}.jpg"
        target.parent.mkdir(exist_ok=True)
        sheet.save(target, quality=90)


def _write_detection_plots(folder: Path, result: DetectionResult) -> None:
    criterion, names = MATCH_CRITERIA[result.task], [*result.names, name_background(result.names)]
    inputs = CurveInputs(result.table, result.names, result.threshold, criterion)
    _write_precision_recall(folder, inputs)
    _write_f1(folder, inputs)
    matrix = count_detection_confusions(result.image_errors, len(result.names))
    title = f"Confusion on the test split, threshold {result.threshold:.3f}, {criterion}"
    plot_confusion_matrix(matrix, names, folder / "confusion.png", title=title)
    _write_confusion_csv(folder, matrix, names)


def name_background(names: Collection[str]) -> str:
    """Return how the confusion matrix calls what is no object; a class can have the usual name itself."""
    return BACKGROUND if BACKGROUND not in names else f"({BACKGROUND}: no object)"


def _write_classification_plots(folder: Path, result: ClassificationResult) -> None:
    """Write the same files as for detections, from the curves of each class against the rest."""
    inputs = CurveInputs(build_class_table(result), result.names, None, "each class against the rest")
    _write_precision_recall(folder, inputs)
    _write_f1(folder, inputs)
    matrix = result.count_confusions()
    title = f"Confusion on the test split, top-1 {result.top1.value:.3f}"
    plot_confusion_matrix(matrix, result.names, folder / "confusion.png", title=title, background=False)
    _write_confusion_csv(folder, matrix, result.names)


def _write_precision_recall(folder: Path, inputs: CurveInputs) -> None:
    lines = {name: compute_precision_curve(inputs.table, cls) for cls, name in inputs.present}
    mean = np.mean([*lines.values()], axis=0)
    name_of_mean = "mAP" if inputs.threshold is None else MAP50
    name_of_class = "AP" if inputs.threshold is None else METRICS[MAP50].per_class
    notes = {name: f"{name_of_class} {line.mean():.3f}" for name, line in lines.items()}
    curves = ClassCurves(RECALL_LEVELS, lines, mean, notes, f"{name_of_mean} {mean.mean():.3f}")
    plot_precision_recall(curves, folder / "pr_curve.png", at=inputs.criterion)
    _write_curves_csv(folder / "pr_curve.csv", ("class", RECALL, PRECISION), RECALL_LEVELS, lines)


def _write_f1(folder: Path, inputs: CurveInputs) -> None:
    f1 = compute_threshold_curves(inputs.table).f1
    lines = {name: f1[:, cls] for cls, name in inputs.present}
    mean = average_over_classes(f1)
    chosen = inputs.threshold
    notes = {name: f"{_read_curve(line, chosen):.3f}" for name, line in lines.items()}
    curves = ClassCurves(CONFIDENCE_THRESHOLDS, lines, mean, notes, f"{_read_curve(mean, chosen):.3f}")
    plot_f1_confidence(curves, folder / "f1_curve.png", threshold=chosen, at=inputs.criterion)
    thinned = {name: line[::F1_CSV_STEP] for name, line in lines.items()}
    x = CONFIDENCE_THRESHOLDS[::F1_CSV_STEP]
    _write_curves_csv(folder / "f1_curve.csv", ("class", "confidence", F1), x, thinned)


def _read_curve(line: FloatArray, threshold: float | None) -> float:
    """Read a curve at a threshold of `CONFIDENCE_THRESHOLDS`; without one, return its maximum."""
    place = line.argmax() if threshold is None else np.abs(CONFIDENCE_THRESHOLDS - threshold).argmin()
    return float(line[place])


def _write_confusion_csv(folder: Path, matrix: IntArray, names: Sequence[str]) -> None:
    """Write a row per object and per false positive: DVC's confusion template counts rows."""
    pairs = (
        (names[row], names[column]) for row, column in np.argwhere(matrix) for _ in range(matrix[row, column])
    )
    _write_csv(folder / "confusion.csv", ("actual", "predicted"), pairs)


def _draw_error_sheet(result: DetectionResult | ClassificationResult, index: int, path: Path) -> Image.Image:
    image = np.asarray(cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR), np.uint8)
    if isinstance(result, ClassificationResult):
        truth, classes, scores = (of_images[index] for of_images in result.scores)
        guesses = [(result.names[cls], float(score)) for cls, score in zip(classes, scores, strict=True)]
        return draw_classification_error(image, result.names[truth], guesses, title=path.name)
    return draw_detection_errors(image, result.image_errors[index], result.names, title=path.name)


def _write_curves_csv(path: Path, header: tuple[str, str, str], x: Any, lines: dict[str, Any]) -> None:
    rows = (
        (name, f"{at:.2f}", f"{y:.5f}") for name, line in lines.items() for at, y in zip(x, line, strict=True)
    )
    _write_csv(path, header, rows)


def _write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([header, *rows])
    write_file(path, text.getvalue())
