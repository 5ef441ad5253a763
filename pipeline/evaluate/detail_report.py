"""Write the further metrics of an evaluation: slices.json, sizes.json, and pictures with their data."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

from pipeline.core.metric_names import get_main_metric
from pipeline.core.tasks import Task
from pipeline.evaluate.details import EvaluationDetails
from pipeline.evaluate.metrics.calibration import ReliabilityBins
from pipeline.evaluate.metrics.detection import round_metrics
from pipeline.evaluate.report import MATCH_CRITERIA
from pipeline.storage.files import write_file
from pipeline.visualize.evaluation_plots import plot_reliability, plot_slices


def write_details(folder: Path, details: EvaluationDetails, task: Task, *, overall: float) -> None:
    """Write the further metrics of a test split, rounded to five decimals, and their pictures.

    Args:
        folder: An existing folder.
        details: The metrics.
        task: The task.
        overall: The main metric of all images.
    """
    _write_json(folder / "slices.json", [round_metrics(row) for row in details.slices])
    if details.sizes:
        sizes = {name: round_metrics(row._asdict()) for name, row in details.sizes.items()}
        _write_json(folder / "sizes.json", sizes)
    _write_reliability(folder, details.bins, task)
    if details.slices:
        main = get_main_metric(task)
        names = [f"{row['slice']} ({row['images']})" for row in details.slices]
        values = [float(row[main]) for row in details.slices]
        plot_slices(names, values, folder / "slices.png", metric=main, overall=overall)


def _write_reliability(folder: Path, bins: ReliabilityBins, task: Task) -> None:
    criterion = "top-1" if task == "classify" else MATCH_CRITERIA[task]
    title = f"Calibration on the test split, {criterion}"
    plot_reliability(bins, folder / "reliability.png", title=title, error=bins.calibration_error)
    text = io.StringIO()
    rows = (
        (f"{score:.5f}", f"{right:.5f}", str(count))
        for count, score, right in zip(*bins, strict=True)
        if count
    )
    csv.writer(text, lineterminator="\n").writerows([("confidence", "right", "predictions"), *rows])
    write_file(folder / "reliability.csv", text.getvalue())


def _write_json(path: Path, values: Any) -> None:
    write_file(path, json.dumps(values, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
