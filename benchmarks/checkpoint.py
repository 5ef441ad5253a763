"""Measure a checkpoint on a split of a clone's prepared images, with the code of the clone's `evaluate`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, Final, Literal

MEASURED: Final = "measured.json"
PREDICTIONS: Final = "measured"
"""Folder of the predictions on val and test, as `evaluate` stores them."""
CODE: Final = f"""
import json, shutil, sys
from pathlib import Path
from pipeline.compose.stage import load_config
from pipeline.core.paths import PREPARED_FOLDER
from pipeline.dataset.coco_head import PredictionHead
from pipeline.dataset.prepared import read_manifest
from pipeline.evaluate.metrics.bootstrap import number_groups
from pipeline.evaluate.prediction_files import describe_predicted_images, record_predictions
from pipeline.evaluate.stage import collect_metrics, evaluate_predictions, predict_splits
from pipeline.storage.files import hash_file

config, manifest, weights = load_config(), read_manifest(PREPARED_FOLDER), Path(sys.argv[1])
head = PredictionHead(manifest.task, manifest.names, manifest.digest, hash_file(weights), manifest.keypoints)
images = {{split: describe_predicted_images(manifest, split) for split in ("val", "test")}}
shutil.rmtree("{PREDICTIONS}", ignore_errors=True)
with record_predictions(Path("{PREDICTIONS}"), head, images) as recorder:
    outputs = predict_splits(config, manifest, weights, recorder=recorder)
if sys.argv[2] == "val":
    outputs = outputs._replace(test=outputs.val)
groups = number_groups([image.group for image in images[sys.argv[2]]])
metrics = collect_metrics(evaluate_predictions(config, manifest, outputs, groups))
Path("{MEASURED}").write_text(json.dumps(metrics["test"]))
"""


def build_command(weights: Path | str, split: Literal["val", "test"]) -> list[str]:
    """Return the command that measures a checkpoint; it is to run in the clone."""
    return [sys.executable, "-c", CODE, str(weights), split]


def read_measured(clone: Path) -> dict[str, Any]:
    """Read the metrics of the last measurement in a clone."""
    return dict(json.loads((clone / MEASURED).read_text("utf-8")))
