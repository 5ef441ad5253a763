"""Write the outputs of a training: models/finetuned, reports/training and reports/training.json."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from pipeline.core.paths import FINETUNED_FOLDER, TRAINING_METRICS_FILE, TRAINING_PLOTS_FOLDER
from pipeline.storage.files import write_file, write_folder
from pipeline.visualize.plots import plot_training_curves
from pipeline.yolo.epoch_metrics import list_curve_points

CURVE_COLUMNS: Final = ("epoch", "curve", "split", "value")


def write_weights(weights: Mapping[str, bytes], run: Mapping[str, Any]) -> None:
    """Write models/finetuned atomically: the checkpoint files, and run.json.

    Args:
        weights: File contents by name: best, last, and epochN with save_period.
        run: Facts about the training that `evaluate` needs.
    """
    with write_folder(FINETUNED_FOLDER) as folder:
        for name, contents in weights.items():
            write_file(folder / f"{name}.pt", contents)
        hashes = {name: hashlib.sha256(contents).hexdigest() for name, contents in weights.items()}
        write_file(folder / "run.json", _format_json({**run, "sha256": hashes}))


def write_training_curves(rows: Sequence[Mapping[str, float]]) -> None:
    """Write reports/training atomically: a row per epoch, a row per curve point for DVC, and a plot."""
    with write_folder(TRAINING_PLOTS_FOLDER) as folder:
        write_file(folder / "epochs.csv", _format_csv(rows))
        points = (dict(zip(CURVE_COLUMNS, point, strict=True)) for point in list_curve_points(rows))
        write_file(folder / "curves.csv", _format_csv([*points]))
        plot_training_curves(folder / "epochs.csv", folder / "curves.png")


def write_training_report(report: Mapping[str, Any]) -> None:
    """Write reports/training.json, for `dvc metrics` and `dvc exp show`."""
    write_file(TRAINING_METRICS_FILE, _format_json(report))


def _format_csv(rows: Sequence[Mapping[str, Any]]) -> str:
    text = io.StringIO()
    fullest = max(rows, key=len)  # an epoch that was not validated lacks some columns
    writer = csv.DictWriter(text, list(fullest), lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: _format_value(value) for name, value in row.items()} for row in rows)
    return text.getvalue()


def _format_value(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:.7g}"


def _format_json(values: Mapping[str, Any]) -> str:
    return json.dumps(values, indent=2, ensure_ascii=False) + "\n"
