"""Read what the files of a commit, or of the workspace, say about an iteration."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import yaml

from pipeline.config.automatic import AUTOMATIC
from pipeline.config.yaml_limits import require_small_yaml
from pipeline.core.config_diff import flatten_config
from pipeline.core.errors import UserError
from pipeline.core.paths import FINETUNED_FOLDER, PARAMS_FILE, TEST_METRICS_FILE, TRAINING_METRICS_FILE
from pipeline.iterations.tracked_iteration import parse_param

DVC_LOCK_FILE: Final = Path("dvc.lock")
RESULT_FILES: Final = (PARAMS_FILE, DVC_LOCK_FILE, TRAINING_METRICS_FILE, TEST_METRICS_FILE)
"""Files of an iteration that git has."""

FileContents = Mapping[Path, bytes]
"""The contents of those of `RESULT_FILES` that exist."""


class RecordedResults(NamedTuple):
    """What the files of an iteration say.

    Attributes:
        params: The flat configuration.
        metrics: By the names in MLflow; those of test only where they are of these weights.
        seconds: Of training; None if unknown.
        predicts_with: conf, iou, max_det and imgsz as chosen on val, and tile and overlap if it was evaluated
            on tiles; may be empty.
        weights_hash: DVC's hash of models/finetuned; None if no fine-tuned weights were recorded.
    """

    params: Mapping[str, Any]
    metrics: Mapping[str, float]
    seconds: float | None
    predicts_with: Mapping[str, float]
    weights_hash: str | None


def parse_results(files: FileContents) -> RecordedResults:
    """Parse the files of an iteration; what cannot be parsed counts as absent."""
    training = _parse_json(files.get(TRAINING_METRICS_FILE))
    params = _parse_params(files.get(PARAMS_FILE))
    lock = _parse_yaml(files.get(DVC_LOCK_FILE)).get("stages")
    stages = lock if isinstance(lock, dict) else {}
    weights = _find_hash(stages, "finetune", "outs")
    test = _parse_json(files.get(TEST_METRICS_FILE))
    if weights != _find_hash(stages, "evaluate", "deps"):  # it was trained anew since
        test = {}
    return RecordedResults(
        params=params,
        metrics={**_flatten_val(training), **_flatten_test(test)},
        seconds=_select_numbers(training).get("seconds"),
        predicts_with=_find_settings(params, training, test),
        weights_hash=weights,
    )


def flatten_reports(files: FileContents) -> tuple[dict[str, float], float | None]:
    """Return the metrics of the reports, by the names in MLflow, and the seconds of training.

    Args:
        files: reports/training.json and reports/metrics.json, as far as they exist.
    """
    training = _parse_json(files.get(TRAINING_METRICS_FILE))
    metrics = {**_flatten_val(training), **_flatten_test(_parse_json(files.get(TEST_METRICS_FILE)))}
    return metrics, _select_numbers(training).get("seconds")


def _flatten_val(training: Mapping[str, Any]) -> dict[str, float]:
    val = training.get("val")
    found = {f"best/{name}": value for name, value in (val if isinstance(val, dict) else {}).items()}
    return _select_numbers(found)


def _flatten_test(metrics: Mapping[str, Any]) -> dict[str, float]:
    """Name the metrics of reports/metrics.json as in MLflow: test/mAP50-95, test/AP50-95/CLASS."""
    test, per_class = (metrics.get(name) for name in ("test", "per_class"))
    found = dict(test) if isinstance(test, dict) else {}
    for cls, row in (per_class if isinstance(per_class, dict) else {}).items():
        found |= {f"{name}/{cls}": value for name, value in row.items()}
    return {f"test/{name}": value for name, value in _select_numbers(found).items()}


def _find_settings(
    params: Mapping[str, Any], training: Mapping[str, Any], test: Mapping[str, Any]
) -> dict[str, float]:
    """Return the settings of a prediction as an evaluation logs them: with a threshold chosen on val."""
    chosen = test.get("test")
    if not isinstance(chosen, dict) or chosen.get("threshold_from") != "val":
        return {}
    keys = {"iou": "evaluate.iou", "max_det": "evaluate.max_det", "imgsz": "finetune.imgsz"}
    if params.get("evaluate.tile"):
        keys |= {"tile": "evaluate.tile", "overlap": "evaluate.overlap"}
    used = {"conf": chosen.get("threshold")} | {name: params.get(key) for name, key in keys.items()}
    automatic = training.get("automatic")  # what was auto in the configuration
    if used["imgsz"] == AUTOMATIC and isinstance(automatic, dict):
        used["imgsz"] = automatic.get("imgsz")
    return _select_numbers(used)


def _find_hash(stages: Mapping[str, Any], stage: str, part: str) -> str | None:
    """Return DVC's hash of models/finetuned as an out or a dep of a stage."""
    entries = (stages.get(stage) or {}).get(part) or []
    place = FINETUNED_FOLDER.as_posix()
    return next((str(entry.get("md5")) for entry in entries if entry.get("path") == place), None)


def _parse_params(content: bytes | None) -> dict[str, Any]:
    """Parse params.yaml; numbers in YAML that Python's loader takes for text, as 1e-3, are numbers."""
    flat = flatten_config(_parse_yaml(content))
    return {key: parse_param(value) if isinstance(value, str) else value for key, value in flat.items()}


def _parse_yaml(content: bytes | None) -> dict[str, Any]:
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times as fast
    try:
        if b"&" in (content or b""):  # only aliases can make a small file large
            require_small_yaml(content or b"", "a recorded file")
        found = yaml.load(content or b"{}", Loader=loader)
    except (UserError, yaml.YAMLError, UnicodeDecodeError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _parse_json(content: bytes | None) -> dict[str, Any]:
    try:
        found = json.loads(content or b"{}")
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _select_numbers(values: Mapping[str, Any]) -> dict[str, float]:
    return {name: value for name, value in values.items() if _is_number(value)}


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
