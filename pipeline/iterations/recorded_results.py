"""Read what the files of a commit, or of the workspace, say about an iteration."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import yaml

from pipeline.config.automatic import AUTOMATIC
from pipeline.config.yaml_limits import require_small_yaml
from pipeline.core.config_diff import flatten_config
from pipeline.core.errors import UserError
from pipeline.core.paths import (
    AUGMENTED_FOLDER,
    COMPOSE_LOCK_FILE,
    FINETUNED_FOLDER,
    PARAMS_FILE,
    PREPARED_FOLDER,
    TEST_METRICS_FILE,
    TRAINING_METRICS_FILE,
)
from pipeline.iterations.tracked_iteration import parse_param

DVC_LOCK_FILE: Final = Path("dvc.lock")
RESULT_FILES: Final = (
    *(PARAMS_FILE, DVC_LOCK_FILE, COMPOSE_LOCK_FILE),
    *(TRAINING_METRICS_FILE, TEST_METRICS_FILE),
)
"""Files of an iteration that git has."""
_REPORTS: Final = {"finetune": TRAINING_METRICS_FILE, "evaluate": TEST_METRICS_FILE}
"""Of each stage the report that dvc.lock names."""
_FOLDERS: Final = {"prepare": PREPARED_FOLDER, "augment": AUGMENTED_FOLDER}
"""What each stage makes for a training."""
_SOURCES: Final = {"data.source": "source", "data.unlabelled_source": "unlabelled"}
"""Paths, which dvc.lock does not record, and the fingerprints of what is there, which it does."""

FileContents = Mapping[Path, bytes]
"""The contents of those of `RESULT_FILES` that exist."""


class RecordedResults(NamedTuple):
    """What the files of an iteration say.

    Attributes:
        params: The flat configuration that made the weights and the results, as far as it is recorded.
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
    """Parse the files of an iteration; what cannot be parsed counts as absent.

    The configuration is what made the weights and the results: the values that dvc.lock recorded with them
    lie over those of params.yaml, which `compose` may have written anew since. Those of data that was
    prepared anew since the training are not known any more, and left out.
    """
    training = _parse_json(files.get(TRAINING_METRICS_FILE))
    composed = _flatten_params(_parse_yaml(files.get(PARAMS_FILE)))
    lock = _parse_yaml(files.get(DVC_LOCK_FILE)).get("stages")
    stages = lock if isinstance(lock, dict) else {}
    weights = _find_hash(stages, "finetune", "outs")
    test = _parse_json(files.get(TEST_METRICS_FILE))
    if weights != _find_hash(stages, "evaluate", "deps"):  # it was trained anew since
        test = {}
    trained = _put_training_params(composed, stages, files)
    evaluated = _put_recorded_params(trained, stages, "evaluate", files) if test else trained
    return RecordedResults(
        params=_put_training_params(evaluated, stages, files),
        metrics={**_flatten_val(training), **_flatten_test(test)},
        seconds=_select_numbers(training).get("seconds"),
        predicts_with=_find_settings(evaluated, training, test),
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


def _find_hash(stages: Mapping[str, Any], stage: str, part: str, path: Path = FINETUNED_FOLDER) -> str | None:
    """Return DVC's hash of a file or folder as an out or a dep of a stage; None where it has none."""
    entries = (stages.get(stage) or {}).get(part) or []
    place = path.as_posix()
    return next((str(entry.get("md5")) for entry in entries if entry.get("path") == place), None)


def _put_recorded_params(
    params: Mapping[str, Any], stages: Mapping[str, Any], stage: str, files: FileContents
) -> dict[str, Any]:
    """Return the flat parameters with those that dvc.lock recorded of a stage in their place.

    They stay as they are where dvc.lock names another report than the present one: the stage ran without DVC.
    """
    values = _find_recorded_params(stages, stage)
    if not values or not _is_recorded(stages, stage, files):
        return dict(params)
    return _leave_out(params, values) | _flatten_params(values)


def _put_training_params(
    params: Mapping[str, Any], stages: Mapping[str, Any], files: FileContents
) -> dict[str, Any]:
    """Return the flat parameters with those of the data and of the training that dvc.lock recorded."""
    if not _find_recorded_params(stages, "finetune") or not _is_recorded(stages, "finetune", files):
        return dict(params)
    found = dict(params)
    for stage, folder in _FOLDERS.items():
        values = _find_recorded_params(stages, stage)
        made, used = _find_hash(stages, stage, "outs", folder), _find_hash(stages, "finetune", "deps", folder)
        if values and used is not None:
            found = _leave_out(found, values) | (_flatten_params(values) if made == used else {})
        if stage == "prepare" and used is not None:
            found = _leave_out_other_sources(found, stages, files, is_same=made == used)
    trained = _put_recorded_params(found, stages, "finetune", files)
    if trained.get("model.name") == params.get("model.name"):
        return trained
    recorded = _flatten_params(_find_recorded_params(stages, "finetune"))  # the others are of another model
    return {name: v for name, v in trained.items() if name in recorded or not name.startswith("model.")}


def _leave_out_other_sources(
    params: Mapping[str, Any], stages: Mapping[str, Any], files: FileContents, *, is_same: bool
) -> dict[str, Any]:
    """Return the flat parameters without the paths of sources that may not be those of the training.

    Args:
        params: The flat parameters.
        stages: Of dvc.lock.
        files: The present compose.lock.json has the fingerprints of the sources that params.yaml names.
        is_same: Whether the training had the data that `prepare` made last.
    """
    recorded = ((stages.get("prepare") or {}).get("params") or {}).get(COMPOSE_LOCK_FILE.name)
    made_from = recorded if isinstance(recorded, dict) else {}
    now = _parse_json(files.get(COMPOSE_LOCK_FILE))
    others = {
        key
        for key, name in _SOURCES.items()
        if not is_same or (name in made_from and made_from[name] != now.get(name))
    }
    return {key: value for key, value in params.items() if key not in others}


def _find_recorded_params(stages: Mapping[str, Any], stage: str) -> dict[str, Any]:
    entry = stages.get(stage)
    recorded = entry.get("params") if isinstance(entry, dict) else None
    values = recorded.get(PARAMS_FILE.name) if isinstance(recorded, dict) else None
    return values if isinstance(values, dict) else {}


def _is_recorded(stages: Mapping[str, Any], stage: str, files: FileContents) -> bool:
    """Tell whether the present report of a stage is the one that dvc.lock names, if it names one."""
    named = _find_hash(stages, stage, "outs", _REPORTS[stage])
    digest = hashlib.md5(files.get(_REPORTS[stage], b""), usedforsecurity=False).hexdigest()
    return named in {None, digest}


def _leave_out(params: Mapping[str, Any], sections: Mapping[str, Any]) -> dict[str, Any]:
    """Return the flat parameters without those of sections such as `finetune` or `data.classes`."""
    starts = tuple(f"{key}." for key in sections)
    return {key: value for key, value in params.items() if not f"{key}.".startswith(starts)}


def _flatten_params(values: Mapping[str, Any]) -> dict[str, Any]:
    """Flatten parameters; numbers in YAML that Python's loader takes for text, as 1e-3, are numbers."""
    flat = flatten_config(values)
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
