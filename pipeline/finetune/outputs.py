"""What a training leaves behind: models/finetuned, reports/training and reports/training.json."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from pipeline.core.paths import FINETUNED, TRAINING_METRICS, TRAINING_PLOTS
from pipeline.storage import files
from pipeline.storage.files import folder_in_one_piece
from pipeline.visualize.plots import training_curves
from pipeline.yolo import epoch_metrics

POINT: Final = ("epoch", "curve", "split", "value")


def write_weights(weights: Mapping[str, bytes], run: Mapping[str, Any]) -> None:
    """Write models/finetuned in one piece: the checkpoint files, and run.json.

    Args:
        weights: Contents by name: best, last, and epochN where asked for.
        run: What `evaluate` has to know.
    """
    with folder_in_one_piece(FINETUNED) as folder:
        for name, contents in weights.items():
            files.write(folder / f"{name}.pt", contents)
        hashes = {name: hashlib.sha256(contents).hexdigest() for name, contents in weights.items()}
        files.write(folder / "run.json", _json({**run, "sha256": hashes}))


def write_curves(rows: Sequence[Mapping[str, float]]) -> None:
    """Write reports/training in one piece: a row per epoch, a row per point for DVC, and a picture."""
    with folder_in_one_piece(TRAINING_PLOTS) as folder:
        files.write(folder / "epochs.csv", _csv(rows))
        points = (dict(zip(POINT, point, strict=True)) for point in epoch_metrics.points(rows))
        files.write(folder / "curves.csv", _csv([*points]))
        training_curves(folder / "epochs.csv", folder / "curves.png")


def write_report(report: Mapping[str, Any]) -> None:
    """Write reports/training.json, which `dvc metrics` and `dvc exp show` read."""
    files.write(TRAINING_METRICS, _json(report))


def _csv(rows: Sequence[Mapping[str, Any]]) -> str:
    text = io.StringIO()
    fullest = max(rows, key=len)  # an epoch that was not validated lacks some columns
    writer = csv.DictWriter(text, list(fullest), lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: _text(value) for name, value in row.items()} for row in rows)
    return text.getvalue()


def _text(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:.7g}"


def _json(values: Mapping[str, Any]) -> str:
    return json.dumps(values, indent=2, ensure_ascii=False) + "\n"
