"""Samplers that need no memory: made anew for each proposal, with a seed from its number."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, CmaEsSampler, GPSampler, RandomSampler, TPESampler
from optuna.study import Study
from optuna.trial import FrozenTrial

from pipeline.sweep.settings import SamplerName
from pipeline.sweep.space.search_space import PointValues
from pipeline.sweep.study.sampling.impute_pruned import sample_from_copy

_MOST_STARTUP_POINTS: Final = 10
"""Optuna's number of random points before TPE and GP learn from results."""
_FEWEST_STARTUP_POINTS: Final = 4


class SeededSampler(BaseSampler):
    """Sample each point as if the sweep had never stopped: nothing but the results so far decides.

    Args:
        build: Builds a sampler from a seed.
        seed: The seed of the sweep.
        imputes: Whether pruned points need a value, since the sampler reads complete ones alone.
    """

    def __init__(self, build: Callable[[int], BaseSampler], seed: int, *, imputes: bool) -> None:
        self._build = build
        self._seed = seed
        self._imputes = imputes
        self._relative: BaseSampler | None = None

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Return the axes that are sampled together."""
        self._relative = self._build(derive_seed(self._seed, trial.number))
        return self._relative.infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Sample the axes that are sampled together."""
        if self._relative is None:
            return {}
        if self._imputes:
            return sample_from_copy(self._relative, study, trial, search_space)
        return self._relative.sample_relative(study, trial, search_space)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """Sample one axis; its value does not depend on how many were sampled before a crash."""
        sampler = self._build(derive_seed(self._seed, trial.number, param_name))
        return sampler.sample_independent(study, trial, param_name, param_distribution)


class GridPointSampler(BaseSampler):
    """Take the points of a list in their order: trial 7 gets the point 7.

    Args:
        points: The values of each point.
    """

    def __init__(self, points: Sequence[PointValues]) -> None:
        self._points = points

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:  # noqa: ARG002
        """Return no axis: each has its value in the list."""
        return {}

    def sample_relative(
        self,
        study: Study,  # noqa: ARG002 - of Optuna's interface
        trial: FrozenTrial,  # noqa: ARG002
        search_space: dict[str, BaseDistribution],  # noqa: ARG002
    ) -> dict[str, Any]:
        """Return nothing: see `sample_independent`."""
        return {}

    def sample_independent(
        self,
        study: Study,  # noqa: ARG002 - of Optuna's interface
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,  # noqa: ARG002
    ) -> Any:
        """Return the value of an axis in the list."""
        return self._points[trial.number][param_name]


def build_sampler(
    name: SamplerName, *, seed: int, trials: int | None, grid: Sequence[PointValues]
) -> BaseSampler:
    """Build the sampler of a sweep.

    Args:
        name: Not `auto`.
        seed: The seed of the sweep.
        trials: How many points there will be; None where time decides.
        grid: The points of a grid; of no use to another sampler.
    """
    if name == "grid":
        return GridPointSampler(grid)
    startup = _count_startup_points(trials)
    builders: Mapping[str, Callable[[int], BaseSampler]] = {
        "random": lambda number: RandomSampler(seed=number),
        "tpe": lambda number: TPESampler(
            seed=number, multivariate=True, constant_liar=True, n_startup_trials=startup
        ),
        "gp": lambda number: GPSampler(
            seed=number, n_startup_trials=startup, warn_independent_sampling=False
        ),
        "cmaes": lambda number: CmaEsSampler(seed=number, warn_independent_sampling=False),
    }
    return SeededSampler(builders[name], seed, imputes=name in {"gp", "cmaes"})


def derive_seed(*parts: object) -> int:
    """Return a seed that depends on all parts, the same in every process, 0 to 2**32 - 1."""
    text = "\n".join(map(repr, parts))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")


def _count_startup_points(trials: int | None) -> int:
    """Return how many points are random: of few points a quarter, so that the others learn from them."""
    if trials is None:
        return _MOST_STARTUP_POINTS
    return min(_MOST_STARTUP_POINTS, max(_FEWEST_STARTUP_POINTS, trials // 4))
