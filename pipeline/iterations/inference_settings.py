"""How to predict with an iteration: in use as was chosen on val, to be measured as `evaluate` does."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, cast

from pipeline.config.automatic import AUTOMATIC
from pipeline.config.groups.evaluate import EvaluateConfig
from pipeline.config.schema import Config
from pipeline.core.errors import UserError
from pipeline.core.tasks import Task
from pipeline.evaluate.predict_splits import build_inference_settings
from pipeline.iterations.iteration import Iteration
from pipeline.yolo.inference.loaded_model import InferenceSettings
from pipeline.yolo.inference.model_file import is_checkpoint, load_checkpoint_model, read_export_facts

DEFAULT_CONF: Final = 0.25
"""Lowest score where no threshold was chosen on val: that of Ultralytics' predict."""
DEFAULT_IMGSZ: Final = 640
"""Pixels, where not even the file says its size: that of Ultralytics."""
_DETECTION_SETTINGS: Final = ("conf", "iou", "max_det")
"""Settings that choose among detections."""


def find_imgsz(iteration: Iteration, weights: Path, *, stage: str) -> int:
    """Return the image size that a model was made for; an exported file of fixed size takes no other.

    Args:
        iteration: It says how it was evaluated and trained, if it was.
        weights: Its file, which is asked where the iteration does not say it.
        stage: Errors advise by it.

    Raises:
        UserError: The file is no model.
    """
    exported = None if is_checkpoint(weights) else read_export_facts(weights, stage)
    if exported and exported.imgsz:
        return max(exported.imgsz)
    known = iteration.predicts_with.get("imgsz") or _find_trained_size(iteration)
    if not known and exported:
        known = max(exported.exported_at)
    elif not known:
        known = load_checkpoint_model(weights, None, stage).overrides.get("imgsz")
    return int(known or DEFAULT_IMGSZ)


def find_task(iteration: Iteration, weights: Path, *, stage: str) -> Task:
    """Return the task of a model.

    Args:
        iteration: It says the task, if it is known before the weights are loaded.
        weights: Its file, which is asked where the iteration does not say it.
        stage: Errors advise by it.

    Raises:
        UserError: The file is no model.
    """
    if iteration.task:
        return iteration.task
    if is_checkpoint(weights):
        return cast(Task, load_checkpoint_model(weights, None, stage).task)
    return read_export_facts(weights, stage).task


def _find_trained_size(iteration: Iteration) -> int | None:
    """Return finetune.imgsz, or what the training chose where it is auto; None if unknown."""
    known = iteration.params.get("finetune.imgsz")
    if known == AUTOMATIC:
        known = (iteration.facts.get("effective") or {}).get("imgsz")
    return int(known) if known else None


def choose_inference_settings(
    iteration: Iteration, weights: Path, wanted: Mapping[str, Any], *, evaluate: EvaluateConfig, stage: str
) -> InferenceSettings:
    """Choose how to predict.

    Args:
        iteration: What was chosen on val, if it was.
        weights: Its file.
        wanted: What the user sets: any of imgsz, conf, iou, max_det, batch, device, threads, tile, overlap;
            None where nothing is set. A tile of 0 means no tiles.
        evaluate: Defaults of iou, max_det, overlap and batch.
        stage: Errors advise by it.

    Raises:
        UserError: The file is no model; or it is one of classify, and a setting of detections is wanted.
    """
    _refuse_detection_settings(iteration, weights, wanted, stage=stage)
    values: dict[str, Any] = {
        name: getattr(evaluate, name) for name in ("iou", "max_det", "overlap", "batch")
    }
    values |= {"conf": DEFAULT_CONF, **iteration.predicts_with}
    values |= {key: value for key, value in wanted.items() if value is not None}
    return InferenceSettings(
        imgsz=int(wanted.get("imgsz") or find_imgsz(iteration, weights, stage=stage)),
        conf=float(values["conf"]),
        iou=float(values["iou"]),
        max_det=int(values["max_det"]),
        batch=int(values["batch"]),
        device=values.get("device"),
        threads=values.get("threads"),
        tile=int(values.get("tile") or 0) or None,
        overlap=float(values["overlap"]),
    )


def _refuse_detection_settings(
    iteration: Iteration, weights: Path, wanted: Mapping[str, Any], *, stage: str
) -> None:
    """Refuse what has no effect on a model of classify, of which the likeliest classes are the answer."""
    named = [name for name in _DETECTION_SETTINGS if wanted.get(name) is not None]
    if named and find_task(iteration, weights, stage=stage) == "classify":
        options = " and ".join(f"--{name.replace('_', '-')}" for name in named)
        raise UserError(
            f"{options}: {iteration.label} classifies whole images, and its likeliest classes are answered "
            "whatever their scores: leave it out"
        )


def choose_measuring_settings(
    config: Config, imgsz: int, task: Task, wanted: Mapping[str, Any] | None = None
) -> InferenceSettings:
    """Choose how a model predicts to be measured: as `evaluate` does, at the model's own image size.

    Args:
        config: `evaluate`, and of `finetune` device and threads are used.
        imgsz: The model's image size in pixels; see `find_imgsz`.
        task: Tiles have no meaning for classify.
        wanted: Settings that count instead of the configuration's.
    """
    settings: Any = {**build_inference_settings(config, imgsz), **(wanted or {})}
    return cast(InferenceSettings, {**settings, "tile": None if task == "classify" else settings["tile"]})
