"""Choose the model and how to predict with it: as the user says, else as was chosen on val."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from pipeline.config.schema import Config
from pipeline.core.errors import UserError
from pipeline.dataset.history import WORKSPACE
from pipeline.iterations.fetch_weights import fetch_weights
from pipeline.iterations.inference_settings import choose_inference_settings, find_task
from pipeline.iterations.iteration import Iteration
from pipeline.iterations.resolve_reference import resolve_reference
from pipeline.predict.build_result import TOP_CLASSES
from pipeline.tracking.store.registered_models import list_model_versions
from pipeline.tracking.store.tracked_runs import RunReader
from pipeline.tracking.target import TrackingTarget
from pipeline.yolo.inference.loaded_model import InferenceSettings

CHAMPION: Final = "champion"


@dataclass(frozen=True)
class ChosenModel:
    """A model, and how to predict with it.

    Args:
        iteration: What it is; its task is known.
        weights: Its file.
        settings: How to predict.
        sentences: Which model it is, which threshold it has if it is of detections, and why, for people.
    """

    iteration: Iteration
    weights: Path
    settings: InferenceSettings
    sentences: tuple[str, ...]


def choose_model(reference: str | None, config: Config, wanted: Mapping[str, Any]) -> ChosenModel:
    """Find a model, bring its weights to this machine, and choose how to predict with it.

    Args:
        reference: As in `resolve_reference`; None for the champion, or without one the workspace's model.
        config: The configuration.
        wanted: What the user sets himself: any of imgsz, conf, iou, max_det, batch, device, threads, tile,
            overlap; None where he sets nothing. A tile of 0 means no tiles.

    Raises:
        UserError: There is no such model, its weights cannot be had, or a setting has no meaning for it.
    """
    where = config.tracking
    target = TrackingTarget(where.uri, where.experiment, where.timeout)
    name = config.registry.name
    iteration, why = (
        (resolve_reference(reference, target, registry_name=name), "")
        if reference
        else _find_default(target, name)
    )
    weights = fetch_weights(iteration, target)
    iteration = replace(iteration, task=find_task(iteration, weights, stage="predict"))
    settings = choose_inference_settings(
        iteration, weights, wanted, evaluate=config.evaluate, stage="predict"
    )
    sentences = (_describe_model(iteration, weights, why), _describe_settings(settings, iteration, wanted))
    return ChosenModel(iteration, weights, settings, sentences)


def _find_default(target: TrackingTarget, name: str) -> tuple[Iteration, str]:
    """Return the default model, and why it is that; an outage of MLflow is an error."""
    versions = list_model_versions(RunReader(target), name)
    if any(CHAMPION in version.aliases for version in versions):
        return resolve_reference(f"{name}@{CHAMPION}", target, registry_name=name), ""
    why = f"{name} has no {CHAMPION} yet"
    try:
        return resolve_reference(WORKSPACE, target, registry_name=name), why
    except UserError as error:
        raise UserError(f"{why}, and {error}; or name a model with --model") from None


def _describe_model(iteration: Iteration, weights: Path, why: str) -> str:
    if iteration.kind == "file":
        return f"model {weights}"
    facts = [f"version {iteration.version}"] if iteration.version else []
    facts += [f"run {iteration.run_id[:8]}"] if iteration.run_id else []
    facts += [why] if why else []
    return f"model {iteration.reference}: " + (
        f"{iteration.label} ({', '.join(facts)})" if facts else iteration.label
    )


def _describe_settings(settings: InferenceSettings, iteration: Iteration, wanted: Mapping[str, Any]) -> str:
    if iteration.task == "classify":
        return f"the likeliest {TOP_CLASSES} classes of each image, imgsz {settings['imgsz']}"
    if wanted.get("conf") is not None:
        source = "as you say"
    elif "conf" in iteration.predicts_with:
        source = "chosen on val"
    else:
        source = "the default of Ultralytics, since no evaluation has chosen one for this model"
    side = settings.get("tile")
    tiles = f", tiles of {side} pixels that overlap by {settings['overlap']:.0%}" if side else ""
    return f"scores from {settings['conf']:.3g} ({source}), imgsz {settings['imgsz']}{tiles}"
