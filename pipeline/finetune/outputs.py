"""Write the outputs of a training: models/finetuned, reports/training and reports/training.json."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, Final

from pipeline.core.paths import FINETUNED_FOLDER, TRAINING_METRICS_FILE, TRAINING_PLOTS_FOLDER
from pipeline.storage.files import write_file, write_folder
from pipeline.visualize.plots import plot_training_curves
from pipeline.visualize.rate_plot import plot_rate_test
from pipeline.yolo.epoch_metrics import list_curve_points
from pipeline.yolo.rate_test.choose_rate import RateTest

OUTPUTS: Final = (FINETUNED_FOLDER, TRAINING_PLOTS_FOLDER, TRAINING_METRICS_FILE)
"""What DVC takes from the stage."""
CURVE_COLUMNS: Final = ("epoch", "curve", "split", "value")


def write_training_outputs(
    weights: Mapping[str, bytes],
    run: Mapping[str, Any],
    *,
    rows: Sequence[Mapping[str, float]],
    report: Mapping[str, Any],
    rate_test: RateTest | None = None,
) -> None:
    """Write all outputs of a training, or on a full disk none of them.

    Args:
        weights: File contents by name: best, last, and epochN with save_period.
        run: Facts about the training that `evaluate` needs.
        rows: The figures of each epoch.
        report: For `dvc metrics` and `dvc exp show`.
        rate_test: The test of learning rates; None without one.
    """
    with write_folder(FINETUNED_FOLDER) as finetuned, write_folder(TRAINING_PLOTS_FOLDER) as plots:
        _write_weights(finetuned, weights, run)
        _write_curves(plots, rows)
        if rate_test is not None:
            _write_rate_test(plots, rate_test)
        write_file(TRAINING_METRICS_FILE, _format_json(report))  # the last that needs space


def _write_weights(folder: Path, weights: Mapping[str, bytes], run: Mapping[str, Any]) -> None:
    """Write the checkpoint files, and run.json with their hashes."""
    for name, contents in weights.items():
        write_file(folder / f"{name}.pt", contents)
    hashes = {name: hashlib.sha256(contents).hexdigest() for name, contents in weights.items()}
    write_file(folder / "run.json", _format_json({**run, "sha256": hashes}))


def _write_curves(folder: Path, rows: Sequence[Mapping[str, float]]) -> None:
    write_file(folder / "epochs.csv", _format_csv(rows))
    points = (dict(zip(CURVE_COLUMNS, point, strict=True)) for point in list_curve_points(rows))
    write_file(folder / "curves.csv", _format_csv([*points]))
    plot_training_curves(folder / "epochs.csv", folder / "curves.png")


def _write_rate_test(folder: Path, test: RateTest) -> None:
    write_file(folder / "rate_test.csv", _format_csv([point._asdict() for point in test.points] or [{}]))
    rates, losses, smoothed = ([point[column] for point in test.points] for column in range(3))
    plot_rate_test(rates, losses, smoothed, chosen=test.lr0, target=folder / "rate_test.png")


def _format_csv(rows: Sequence[Mapping[str, Any]]) -> str:
    text = io.StringIO()
    fullest = max(rows, key=len)  # an epoch that was not validated lacks some columns
    columns = dict.fromkeys(chain(fullest, *rows))
    writer = csv.DictWriter(text, list(columns), lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: _format_value(value) for name, value in row.items()} for row in rows)
    return text.getvalue()


def _format_value(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:.7g}"


def _format_json(values: Mapping[str, Any]) -> str:
    return json.dumps(values, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
