"""Find the model that a reference names, how to predict with it, and where its alias points."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

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
from pipeline.yolo.inference.loaded_model import InferenceSettings, LoadedModel

DEFAULT_CONF: Final = 0.25
"""Lowest score for a file of weights, whose best threshold nothing says: that of Ultralytics' predict."""
_ALIAS: Final = re.compile(r"(?:models:/)?([^@/]+)@([^@/]+)")

AliasPosition = tuple[str, str | None]
"""Version and run of what an alias stands for."""


@dataclass(frozen=True)
class ModelRequest:
    """The model that the user asks for.

    Args:
        reference: As the user typed it, such as champion.
        config: The configuration: tracking, registry, and defaults of the prediction.
        settings: What the user sets himself: any of imgsz, conf, iou, max_det, batch, device, threads.
    """

    reference: str
    config: Config
    settings: Mapping[str, Any]

    @property
    def target(self) -> TrackingTarget:
        """MLflow's store."""
        where = self.config.tracking
        return TrackingTarget(where.uri, where.experiment, where.timeout)


def find_model(request: ModelRequest) -> tuple[Iteration, ModelToServe]:
    """Find the model, and bring its weights to this machine.

    Raises:
        UserError: There is no such model, or its weights cannot be had.
    """
    name = request.config.registry.name
    iteration = resolve_reference(request.reference, request.target, registry_name=name)
    weights = fetch_weights(iteration, request.target)
    settings = choose_settings(request, iteration)

    def identify(model: LoadedModel) -> ModelIdentity:
        return _build_identity(iteration, model, settings)

    return iteration, ModelToServe(weights, settings, identify)


def choose_settings(request: ModelRequest, iteration: Iteration) -> InferenceSettings:
    """Return how to predict: as the user says, else as was chosen on val, else as the configuration says."""
    evaluate, own = request.config.evaluate, iteration.predicts_with
    fallback = {
        "imgsz": request.config.finetune.imgsz,
        "conf": DEFAULT_CONF,
        "iou": evaluate.iou,
        "max_det": evaluate.max_det,
    }
    values = {
        **fallback,
        **own,
        **{key: value for key, value in request.settings.items() if value is not None},
    }
    return InferenceSettings(
        imgsz=int(values["imgsz"]),
        conf=float(values["conf"]),
        iou=float(values["iou"]),
        max_det=int(values["max_det"]),
        batch=int(values["batch"]),
        device=values.get("device"),
        threads=values.get("threads"),
        tile=int(values["tile"]) if values.get("tile") else None,
        overlap=float(values.get("overlap", evaluate.overlap)),
    )


def find_alias_position(request: ModelRequest) -> AliasPosition:
    """Return the version that the alias stands for now.

    Raises:
        UserError: MLflow does not answer, or there is no such alias any more.
    """
    match = _ALIAS.fullmatch(request.reference)
    name, alias = (match[1], match[2]) if match else (request.config.registry.name, request.reference)
    for item in list_model_versions(RunReader(request.target), name):
        if alias in item.aliases:
            return item.version, item.run_id
    raise UserError(f"{name} has no alias {alias} any more: the model that was loaded is served on")


def _build_identity(iteration: Iteration, model: LoadedModel, settings: InferenceSettings) -> ModelIdentity:
    return ModelIdentity(
        reference=iteration.reference,
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
    )
