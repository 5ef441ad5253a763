"""Register the model of a run as the challenger of the champion."""

from __future__ import annotations

from typing import Final

from pipeline.config.schema import Config
from pipeline.core.errors import UserError
from pipeline.iterations.iteration import Iteration
from pipeline.registry.open_registry import ModelRegistry, open_registry
from pipeline.tracking.store.registry.registration import RegisteredVersion, register_run

_SAME: Final = 1e-6
"""The difference of a figure that is none."""


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
        UserError: It has no run, or its run has no usable result, or that of another evaluation.
    """
    if iteration.run_id is None:
        raise UserError(
            f"{iteration.reference} has no MLflow run: only trainings that MLflow knows are registered"
        )
    if iteration.kind in {"experiment", "revision"}:
        _require_same_evaluation(iteration, registry.resolve(iteration.run_id))
    return register_run(registry.store, iteration.run_id, registry.name, is_challenger=is_challenger)


def _require_same_evaluation(named: Iteration, run: Iteration) -> None:
    """Require that the run has the evaluation that was named: a training can be evaluated again, otherwise.

    Raises:
        UserError: The model of the run has other figures, or predicts with other settings.
    """
    figures = {name for name in named.metrics if name.startswith("test/")} & run.metrics.keys()
    moved = {name for name in figures if abs(named.metrics[name] - run.metrics[name]) > _SAME}
    settings = {**named.predicts_with, **run.predicts_with}
    other = {name for name in settings if named.predicts_with.get(name) != run.predicts_with.get(name)}
    if figures and (moved or other):
        what = ", ".join(sorted(other)) or "its figures on test"
        raise UserError(
            f"the run of {named.reference}, {run.label} ({named.run_id}), has the model of an "
            f"earlier evaluation of the same training ({what} differ): train it again with these settings "
            "(`dvc exp run -f`), or register the run by its id, as it was evaluated first"
        )
