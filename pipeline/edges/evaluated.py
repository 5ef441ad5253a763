"""The folder reports/evaluation: CSV for DVC's plots, the same as pictures, and the worst images."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np

from pipeline.core import operating
from pipeline.core.average_precision import RECALLS, curve
from pipeline.core.evaluation import Evaluation
from pipeline.core.outcomes import confusions, rank
from pipeline.edges import comparison, files, plots

BACKGROUND: Final = "background"
EVERY: Final = 10
"""The F1 curve's CSV holds every tenth threshold: 0.00, 0.01 ... 1.00."""


def write(folder: Path, evaluation: Evaluation, images: Sequence[Path], *, worst: int) -> None:
    """Write everything that is to be looked at.

    Args:
        folder: Where; it exists.
        evaluation: What was measured.
        images: The test images, in the order of the evaluation's.
        worst: The most pictures of predictions with errors.
    """
    _precision_recall(folder, evaluation)
    _f1(folder, evaluation)
    _confusion(folder, evaluation)
    for place, index in enumerate(rank(evaluation.outcomes)[:worst], 1):
        target = folder / "worst" / f"{place:02d}_{images[index].stem}.jpg"
        _compare(images[index], evaluation, index, target=target)


def _precision_recall(folder: Path, evaluation: Evaluation) -> None:
    lines = {name: curve(evaluation.table, cls) for cls, name in _present(evaluation)}
    mean = np.mean([*lines.values()], axis=0)
    notes = {name: f"AP50 {evaluation.aps[cls, 0]:.3f}" for cls, name in _present(evaluation)}
    notes["mean"] = f"mAP50 {evaluation.maps['mAP50'].value:.3f}"
    plots.precision_recall(plots.Curves(RECALLS, lines, mean, notes), folder / "pr_curve.png")
    _write_lines(folder / "pr_curve.csv", ("class", "recall", "precision"), RECALLS, lines)


def _f1(folder: Path, evaluation: Evaluation) -> None:
    f1 = operating.operate(evaluation.table).f1
    lines = {name: f1[:, cls] for cls, name in _present(evaluation)}
    notes = {name: f"{evaluation.at.f1[0, cls]:.3f}" for cls, name in _present(evaluation)}
    notes["mean"] = f"{operating.average(evaluation.at.f1)[0]:.3f}"
    drawn = plots.Curves(operating.THRESHOLDS, lines, operating.average(f1), notes)
    plots.f1_confidence(drawn, folder / "f1_curve.png", threshold=evaluation.threshold)
    thinned = {name: line[::EVERY] for name, line in lines.items()}
    _write_lines(
        folder / "f1_curve.csv", ("class", "confidence", "F1"), operating.THRESHOLDS[::EVERY], thinned
    )


def _confusion(folder: Path, evaluation: Evaluation) -> None:
    """Write a row per object and per false alarm, which is how DVC's confusion template counts."""
    names = [*evaluation.names, BACKGROUND]
    matrix = confusions(evaluation.outcomes, len(evaluation.names))
    title = f"Confusion on the test split, threshold {evaluation.threshold:.3f}, IoU 0.5"
    plots.confusion(matrix, names, folder / "confusion.png", title=title)
    pairs = (
        (names[row], names[column]) for row, column in np.argwhere(matrix) for _ in range(matrix[row, column])
    )
    _write_csv(folder / "confusion.csv", ("actual", "predicted"), pairs)


def _compare(path: Path, evaluation: Evaluation, index: int, *, target: Path) -> None:
    image = np.asarray(cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR), np.uint8)
    sheet = comparison.compare(image, evaluation.outcomes[index], evaluation.names, title=path.name)
    target.parent.mkdir(exist_ok=True)
    sheet.save(target, quality=90)


def _present(evaluation: Evaluation) -> list[tuple[int, str]]:
    """Return the classes that have objects to find."""
    return [(int(cls), evaluation.names[cls]) for cls in np.flatnonzero(evaluation.table.objects.any(axis=0))]


def _write_lines(path: Path, header: tuple[str, str, str], x: Any, lines: dict[str, Any]) -> None:
    rows = (
        (name, f"{at:.2f}", f"{y:.5f}") for name, line in lines.items() for at, y in zip(x, line, strict=True)
    )
    _write_csv(path, header, rows)


def _write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([header, *rows])
    files.write(path, text.getvalue())
