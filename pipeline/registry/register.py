"""Register the model of a run as the challenger of the champion."""

from __future__ import annotations

from pipeline.config.schema import Config
from pipeline.core.errors import UserError
from pipeline.iterations.iteration import Iteration
from pipeline.registry.open_registry import ModelRegistry, open_registry
from pipeline.tracking.store.registry.registration import RegisteredVersion, register_run


def register_model(reference: str, config: Config) -> RegisteredVersion:
    """Register the model of a run as the challenger.

    Args:
        reference: Names a training; see `resolve_reference`.
        config: `registry` and `tracking` are used.

    Raises:
        UserError: It names no training that finished and was evaluated.
    """
    registry = open_registry(config)
    return register_iteration(registry, registry.resolve(reference))


def register_iteration(
    registry: ModelRegistry, iteration: Iteration, *, is_challenger: bool = True
) -> RegisteredVersion:
    """Register the model of an iteration; one that is registered keeps its version.

    Args:
        registry: Where to register.
        iteration: The model.
        is_challenger: Whether it gets the alias challenger.

    Raises:
        UserError: It has no run, or its run has no usable result.
    """
    if iteration.run_id is None:
        raise UserError(
            f"{iteration.reference} has no MLflow run: only trainings that MLflow knows are registered"
        )
    return register_run(registry.store, iteration.run_id, registry.name, is_challenger=is_challenger)
