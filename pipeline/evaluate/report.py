"""The folder reports/evaluation: CSV for DVC's plots, the same as pictures, and the worst images."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.core.tasks import Task
from pipeline.evaluate import error_pictures
from pipeline.evaluate.metrics import classification, error_types, thresholds
from pipeline.evaluate.metrics.average_precision import RECALLS, curve
from pipeline.evaluate.metrics.classification import ClassificationResult
from pipeline.evaluate.metrics.detection import DetectionResult
from pipeline.evaluate.metrics.matching import DetectionTable
from pipeline.evaluate.metrics.thresholds import THRESHOLDS
from pipeline.storage import files
from pipeline.visualize import plots
from pipeline.visualize.plots import ClassCurves, f1_confidence, precision_recall

BACKGROUND: Final = "background"
EVERY: Final = 10
"""The F1 curve's CSV holds every tenth threshold: 0.00, 0.01 ... 1.00."""
AT: Final[dict[Task, str]] = {
    "detect": "IoU 0.5",
    "obb": "rotated IoU 0.5",
    "segment": "mask IoU 0.5",
    "pose": "OKS 0.5",
}
"""What makes a detection right, as the pictures' titles say."""


class CurveInputs(NamedTuple):
    """What the curves are drawn of.

    Attributes:
        table: The matched detections, or guesses.
        names: Class names by index.
        threshold: The one that was chosen, if one was.
        at: What makes a detection right.
    """

    table: DetectionTable
    names: Sequence[str]
    threshold: float | None
    at: str

    @property
    def present(self) -> list[tuple[int, str]]:
        """The classes that have objects to find."""
        return [(cls, self.names[cls]) for cls in np.flatnonzero(self.table.objects.any(axis=0)).tolist()]


def write(
    folder: Path, found: DetectionResult | ClassificationResult, images: Sequence[Path], *, worst: int
) -> None:
    """Write everything that is to be looked at; the files have the same names whatever the task is.

    Args:
        folder: Where; it exists.
        found: What was measured.
        images: The test images, in the order of the evaluation's.
        worst: The most pictures of predictions with errors.
    """
    if isinstance(found, ClassificationResult):
        _classification(folder, found)
        order = classification.rank(found)
    else:
        _detections(folder, found)
        order = error_types.rank(found.outcomes)
    for place, index in enumerate(order[:worst], 1):
        sheet = _sheet(found, index, images[index])
        target = folder / "worst" / f"{place:02d}_{images[index].stem}.jpg"
        target.parent.mkdir(exist_ok=True)
        sheet.save(target, quality=90)


def _detections(folder: Path, found: DetectionResult) -> None:
    measured = CurveInputs(found.table, found.names, found.threshold, AT[found.task])
    _precision_recall(folder, measured)
    _f1(folder, measured)
    matrix = error_types.confusions(found.outcomes, len(found.names))
    title = f"Confusion on the test split, threshold {found.threshold:.3f}, {AT[found.task]}"
    plots.confusion(matrix, [*found.names, BACKGROUND], folder / "confusion.png", title=title)
    _confusion(folder, matrix, [*found.names, BACKGROUND])


def _classification(folder: Path, found: ClassificationResult) -> None:
    """Write the same files; each class against the rest stands for what is found and what is not."""
    measured = CurveInputs(classification.tabulate(found), found.names, None, "each class against the rest")
    _precision_recall(folder, measured)
    _f1(folder, measured)
    matrix = classification.confusions(found)
    title = f"Confusion on the test split, top-1 {found.top1.value:.3f}"
    plots.confusion(matrix, found.names, folder / "confusion.png", title=title, background=False)
    _confusion(folder, matrix, found.names)


def _precision_recall(folder: Path, measured: CurveInputs) -> None:
    lines = {name: curve(measured.table, cls) for cls, name in measured.present}
    mean = np.mean([*lines.values()], axis=0)
    figure = "AP" if measured.threshold is None else "AP50"
    notes = {name: f"{figure} {line.mean():.3f}" for name, line in lines.items()}
    notes["mean"] = f"m{figure} {mean.mean():.3f}"
    drawn = ClassCurves(RECALLS, lines, mean, notes)
    precision_recall(drawn, folder / "pr_curve.png", at=measured.at)
    _write_lines(folder / "pr_curve.csv", ("class", "recall", "precision"), RECALLS, lines)


def _f1(folder: Path, measured: CurveInputs) -> None:
    f1 = thresholds.operate(measured.table).f1
    lines = {name: f1[:, cls] for cls, name in measured.present}
    mean = thresholds.average(f1)
    chosen = measured.threshold
    notes = {name: f"{_at(line, chosen):.3f}" for name, line in [*lines.items(), ("mean", mean)]}
    drawn = ClassCurves(THRESHOLDS, lines, mean, notes)
    f1_confidence(drawn, folder / "f1_curve.png", threshold=chosen, at=measured.at)
    thinned = {name: line[::EVERY] for name, line in lines.items()}
    _write_lines(folder / "f1_curve.csv", ("class", "confidence", "F1"), THRESHOLDS[::EVERY], thinned)


def _at(line: NDArray[np.float64], threshold: float | None) -> float:
    """Read a curve at the threshold, which is one of `THRESHOLDS`; at its highest where there is none."""
    place = line.argmax() if threshold is None else np.abs(THRESHOLDS - threshold).argmin()
    return float(line[place])


def _confusion(folder: Path, matrix: NDArray[np.int64], names: Sequence[str]) -> None:
    """Write a row per object and per false alarm, which is how DVC's confusion template counts."""
    pairs = (
        (names[row], names[column]) for row, column in np.argwhere(matrix) for _ in range(matrix[row, column])
    )
    _write_csv(folder / "confusion.csv", ("actual", "predicted"), pairs)


def _sheet(found: DetectionResult | ClassificationResult, index: int, path: Path) -> Image.Image:
    image = np.asarray(cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR), np.uint8)
    if isinstance(found, ClassificationResult):
        truth, classes, scores = (part[index] for part in found.guessed)
        guesses = [(found.names[cls], float(score)) for cls, score in zip(classes, scores, strict=True)]
        return error_pictures.show(image, found.names[truth], guesses, title=path.name)
    return error_pictures.compare(image, found.outcomes[index], found.names, title=path.name)


def _write_lines(path: Path, header: tuple[str, str, str], x: Any, lines: dict[str, Any]) -> None:
    rows = (
        (name, f"{at:.2f}", f"{y:.5f}") for name, line in lines.items() for at, y in zip(x, line, strict=True)
    )
    _write_csv(path, header, rows)


def _write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([header, *rows])
    files.write(path, text.getvalue())
