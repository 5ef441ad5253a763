"""Hydra's plugin for sweeps: it hands the overrides and the settings to pipeline.sweep.

`dvc exp run` and every other composition imports this file, so it imports nothing but Hydra's interface.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf


class FinetrackSweeper(Sweeper):
    """The sweeper of conf/hydra/sweeper/finetrack.yaml.

    Args:
        params: Axes and values of a prepared sweep, by key.
        **settings: As in `pipeline.sweep.settings.SweepSettings`.
    """

    def __init__(self, params: Mapping[str, Any] | None = None, **settings: Any) -> None:
        self.params, self.settings = _to_plain(params or {}), _to_plain(settings)

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Take Hydra's context; the jobs are DVC experiments, which need nothing of it."""

    def sweep(self, arguments: list[str]) -> Any:
        """Plan and run the sweep.

        Args:
            arguments: The overrides of the command, without those of Hydra itself.
        """
        from pipeline.sweep.run import run_planned_sweep
        from pipeline.sweep.space.sweep_words import list_chosen_words, parse_settings

        settings = parse_settings(self.settings)
        return run_planned_sweep(list_chosen_words(self.params, arguments), settings)


def _to_plain(values: Any) -> Any:
    return OmegaConf.to_container(OmegaConf.create(values), resolve=True)
