"""What a study is opened with beside space and settings."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from pipeline.sweep.space.search_space import PointValues, SearchSpace


def _find_no_error(values: PointValues) -> str | None:  # noqa: ARG001 - the default of a callable
    return None


def format_point(values: PointValues) -> str:
    """Return a text that is the same for the same values."""
    return json.dumps(dict(values), sort_keys=True, allow_nan=False)


@dataclass(frozen=True)
class StudyInputs:
    """What a study is opened with beside space and settings.

    Args:
        identity: What makes results comparable, such as digests of images and code, by a name for people.
        base_seed: The seed of the first repetition of each point.
        grid: The points of a grid, without duplicates and impossible ones; None: all combinations.
        start: The first point of a sampler that is no grid; None: the sampler chooses it.
        find_error: Returns why a point cannot be trained; None if it can.
        compute_key: Returns a text that is the same for points that are one training.
    """

    identity: Mapping[str, str]
    base_seed: int = 0
    grid: Sequence[PointValues] | None = None
    start: PointValues | None = None
    find_error: Callable[[PointValues], str | None] = _find_no_error
    compute_key: Callable[[PointValues], str] = format_point

    def list_grid(self, space: SearchSpace) -> list[PointValues]:
        """List the points of a grid over a space."""
        from pipeline.sweep.study.sampling.distributions import list_grid_points  # Optuna, which is slow

        return list(list_grid_points(space) if self.grid is None else self.grid)
