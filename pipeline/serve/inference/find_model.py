"""Find the model that a reference names, how to predict with it, and where its alias points."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

from pipeline.config.schema import Config
from pipeline.core.errors import UserError
from pipeline.iterations.fetch_weights import fetch_weights
from pipeline.iterations.iteration import Iteration
from pipeline.iterations.resolve_reference import resolve_reference
from pipeline.serve.inference.model_identity import ModelIdentity
from pipeline.serve.inference.model_thread import ModelToServe
from pipeline.tracking.store.registered_models import list_model_versions
from pipeline.tracking.store.tracked_runs import RunReader
from pipeline.tracking.target import TrackingTarget
from pipeline.yolo.inference.loaded_model import DEFAULT_OVERLAP, InferenceSettings, LoadedModel
from pipeline.yolo.inference.model_file import is_checkpoint, load_checkpoint_model, read_export_facts

DEFAULT_CONF: Final = 0.25
"""Lowest score for a file of weights, whose best threshold nothing says: that of Ultralytics' predict."""
DEFAULT_IMGSZ: Final = 640
"""Pixels, where not even the file says its size: that of Ultralytics."""
AliasPosition = tuple[str, str | None]
"""Version and run of what an alias stands for."""
_ALIAS: Final = re.compile(r"(?:models:/)?([^@/]+)@([^@/]+)")


@dataclass(frozen=True)
class ModelRequest:
    """The model that the user asks for.

    Args:
        reference: As the user typed it, such as champion.
        config: The configuration: tracking, registry, and defaults of the prediction.
        settings: What the user sets himself: any of imgsz, conf, iou, max_det, batch, device, threads, tile,
            overlap; batch always.
    """

    reference: str
    config: Config
    settings: Mapping[str, Any]

    @property
    def target(self) -> TrackingTarget:
        """MLflow's store."""
        where = self.config.tracking
        return TrackingTarget(where.uri, where.experiment, where.timeout)


class FoundModel(NamedTuple):
    """A model that a reference names.

    Attributes:
        model: What is loaded.
        position: Where the alias points; None where the reference is no alias, and stays as it is.
    """

    model: ModelToServe
    position: AliasPosition | None


def find_model(request: ModelRequest) -> FoundModel:
    """Find the model, and bring its weights to this machine.

    Raises:
        UserError: There is no such model, or its weights cannot be had.
    """
    name = request.config.registry.name
    iteration = resolve_reference(request.reference, request.target, registry_name=name)
    weights = fetch_weights(iteration, request.target)
    settings = choose_settings(request, iteration, weights)

    def identify(model: LoadedModel) -> ModelIdentity:
        return _build_identity(iteration, model, settings)

    position = (str(iteration.version), iteration.run_id) if iteration.kind == "alias" else None
    return FoundModel(ModelToServe(weights, settings, identify), position)


def choose_settings(request: ModelRequest, iteration: Iteration, weights: Path) -> InferenceSettings:
    """Return how to predict: as the user says, else as the model was evaluated, else by defaults.

    Args:
        request: What the user sets.
        iteration: It says how it was evaluated, if it was.
        weights: Its file, which says the size of the images that it was trained on.
    """
    evaluate = request.config.evaluate
    given = {key: value for key, value in request.settings.items() if value is not None}
    fallback = {"conf": DEFAULT_CONF, "iou": evaluate.iou, "max_det": evaluate.max_det}
    values = {**fallback, **iteration.predicts_with, **given}
    if "imgsz" not in values:
        values["imgsz"] = iteration.params.get("finetune.imgsz") or _read_imgsz(weights)
    tile = values.get("tile")
    return InferenceSettings(
        imgsz=int(values["imgsz"]),
        conf=float(values["conf"]),
        iou=float(values["iou"]),
        max_det=int(values["max_det"]),
        batch=int(values["batch"]),
        device=values.get("device"),
        threads=values.get("threads"),
        tile=int(tile) if tile else None,
        overlap=float(values.get("overlap", DEFAULT_OVERLAP)),
    )


def _read_imgsz(weights: Path) -> int:
    """Return the size that a file of weights was trained or exported for, in pixels."""
    if is_checkpoint(weights):
        size = load_checkpoint_model(weights, None, "serve").overrides.get("imgsz")
        return int(size or DEFAULT_IMGSZ)
    fixed = read_export_facts(weights, "serve").imgsz
    return max(fixed) if fixed else DEFAULT_IMGSZ


def find_alias_position(request: ModelRequest, reader: RunReader) -> AliasPosition:
    """Return the version that the alias stands for now.

    Args:
        request: It names the alias.
        reader: Of the store; the same one each time, since opening it takes longer than this question.

    Raises:
        UserError: MLflow does not answer, or there is no such alias any more.
    """
    match = _ALIAS.fullmatch(request.reference)
    name, alias = (match[1], match[2]) if match else (request.config.registry.name, request.reference)
    for item in list_model_versions(reader, name):
        if alias in item.aliases:
            return item.version, item.run_id
    raise UserError(f"{name} has no alias {alias} any more: the model that was loaded is served on")


def _build_identity(iteration: Iteration, model: LoadedModel, settings: InferenceSettings) -> ModelIdentity:
    return ModelIdentity(
        reference=iteration.label if iteration.kind == "file" else iteration.reference,  # clients see no path
        label=iteration.label,
        task=model.task,
        names=model.names,
        run_id=iteration.run_id,
        version=iteration.version,
        sha256=iteration.sha256,
        imgsz=settings["imgsz"],
        conf=settings["conf"],
        iou=settings["iou"],
        max_det=settings["max_det"],
        tile=settings.get("tile"),
    )
