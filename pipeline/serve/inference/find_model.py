"""Find the model that a reference names, how to predict with it, and where its alias points."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from pipeline.config.schema import Config
from pipeline.core.errors import UserError
from pipeline.iterations.fetch_weights import fetch_weights
from pipeline.iterations.inference_settings import choose_inference_settings
from pipeline.iterations.iteration import Iteration
from pipeline.iterations.resolve_reference import resolve_reference
from pipeline.serve.inference.model_identity import ModelIdentity
from pipeline.serve.inference.model_thread import ModelToServe
from pipeline.tracking.store.registered_models import list_model_versions
from pipeline.tracking.store.tracked_runs import RunReader
from pipeline.tracking.target import TrackingTarget
from pipeline.yolo.inference.loaded_model import InferenceSettings, LoadedModel

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
            overlap; batch always. A tile of 0 means no tiles.
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
        UserError: There is no such model, its weights cannot be had, or a setting has no meaning for it.
    """
    name = request.config.registry.name
    iteration = resolve_reference(request.reference, request.target, registry_name=name)
    weights = fetch_weights(iteration, request.target)
    settings = choose_inference_settings(
        iteration, weights, request.settings, evaluate=request.config.evaluate, stage="serve"
    )

    def identify(model: LoadedModel) -> ModelIdentity:
        return _build_identity(iteration, model, settings)

    position = (str(iteration.version), iteration.run_id) if iteration.kind == "alias" else None
    return FoundModel(ModelToServe(weights, settings, identify), position)


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
