"""Hydra's plugin for sweeps: it hands the overrides and the settings to pipeline.sweep.

`dvc exp run` and every other composition imports this file, so it imports nothing but Hydra's interface.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from hydra.core.global_hydra import GlobalHydra
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
        from pipeline.sweep.space.prepared_spaces import drop_prepared_spaces
        from pipeline.sweep.space.sweep_words import list_chosen_words, parse_settings

        words = list_chosen_words(self.params, drop_prepared_spaces(arguments))
        with _set_hydra_aside():
            return run_planned_sweep(words, parse_settings(self.settings))


@contextmanager
def _set_hydra_aside() -> Iterator[None]:
    """Let the sweep compose configurations itself, as Hydra refuses while a command of its own runs.

    Hydra's log is for the functions that it calls itself; it would show the notes of every library.
    """
    logging.getLogger().handlers.clear()
    logging.getLogger().setLevel(logging.WARNING)
    held = GlobalHydra.instance()
    hydra = held.hydra
    held.clear()
    try:
        yield
    finally:
        held.hydra = hydra


def _to_plain(values: Any) -> Any:
    return OmegaConf.to_container(OmegaConf.create(values), resolve=True)
