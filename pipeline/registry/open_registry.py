"""The model registry of a configuration: MLflow's store, and the name of the registered model."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.config.schema import Config
from pipeline.iterations.iteration import Iteration
from pipeline.iterations.resolve_reference import resolve_reference
from pipeline.registry.gate import GateRules
from pipeline.runtime.progress import print_notice
from pipeline.tracking.store.client import MlflowClientCache
from pipeline.tracking.target import TrackingTarget, describe_unused_variables


@dataclass(frozen=True)
class ModelRegistry:
    """Where models are registered.

    Args:
        config: The configuration.
        target: MLflow's store.
        store: Its client.
    """

    config: Config
    target: TrackingTarget
    store: MlflowClientCache

    @property
    def name(self) -> str:
        """The registered model."""
        return self.config.registry.name

    @property
    def rules(self) -> GateRules:
        """The limits of its gate."""
        limits = self.config.registry
        return GateRules(limits.epsilon, limits.class_limit, limits.slice_limit, limits.min_objects)

    def resolve(self, text: str) -> Iteration:
        """Find an iteration by a text that a user typed."""
        return resolve_reference(text, self.target, registry_name=self.name)


def open_registry(config: Config) -> ModelRegistry:
    """Return the registry of a configuration; nothing is opened yet.

    A notice names MLflow's environment variables that name another place, and are not used.
    """
    where = config.tracking
    target = TrackingTarget(where.uri, where.experiment, where.timeout)
    if sentence := describe_unused_variables(target):
        print_notice(f"registry: {sentence}")
    return ModelRegistry(config, target, MlflowClientCache(target))
