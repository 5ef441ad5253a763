"""Compose and check the configuration of any point of a search space."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.compose.stage import ParamValues
from pipeline.config.key_use import compute_effective_key
from pipeline.core.errors import UserError
from pipeline.sweep.space.job_configs import JobConfigs
from pipeline.sweep.space.search_space import PointValues, SearchSpace


class PointConfigs:
    """The configurations of the points of a search space.

    Args:
        space: The search space.
    """

    def __init__(self, space: SearchSpace) -> None:
        self.space = space
        self._configs = JobConfigs()

    def compose(self, point: PointValues) -> ParamValues:
        """Compose the configuration of a point.

        Raises:
            UserError: Hydra cannot compose it.
        """
        return self.compose_words(self.space.build_overrides(point))

    def compose_words(self, overrides: Sequence[str]) -> ParamValues:
        """Compose the configuration of a job: the overrides of a point, and those of its seed and fold.

        Raises:
            UserError: Hydra cannot compose it.
        """
        return self._configs.compose(overrides)

    def find_error(self, point: PointValues) -> str | None:
        """Return why a point cannot run, in a sentence; None if it can."""
        try:
            return find_config_error(self.compose(point))
        except UserError as error:
            return str(error)

    def compute_key(self, point: PointValues, task: str | None = None) -> str:
        """Return a text that points share whose trainings give the same results.

        Args:
            point: The point.
            task: The task of the images where it is known and data.task is auto.
        """
        return compute_effective_key(self.compose(point), task)


def find_config_error(values: ParamValues) -> str | None:
    """Return what the schema refuses in a configuration, in a sentence; None if it can run."""
    from pipeline.config.schema import ConfigError, parse_config

    try:
        parse_config(values)
    except ConfigError as error:
        return str(error)
    return None
