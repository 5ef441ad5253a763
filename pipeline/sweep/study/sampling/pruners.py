"""Pruners: median, successive halving (ASHA), and Wilcoxon over repetitions.

They decide from what the database has, and write nothing: after a crash they decide the same again.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import Final

from optuna.exceptions import ExperimentalWarning
from optuna.pruners import BasePruner, MedianPruner, NopPruner, WilcoxonPruner
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState

from pipeline.sweep.settings import SweepSettings
from pipeline.sweep.study.check_settings import WILCOXON_THRESHOLD
from pipeline.sweep.study.database import records

_REDUCTION: Final = 4
"""Of the trainings that reach a rung of successive halving, the best quarter goes on; Optuna's default."""


class HalvingPruner(BasePruner):
    """Asynchronous successive halving, as `optuna.pruners.SuccessiveHalvingPruner`.

    Optuna's writes into the database when a training reaches a rung, so a training that is killed there is
    judged otherwise when it reports the epoch again. This one reads the rungs from the reported epochs.

    Args:
        first_rung: The epoch of the first rung, from 1; the others are 4, 16, ... times as far.
    """

    def __init__(self, first_rung: int) -> None:
        self._first_rung = first_rung

    def prune(self, study: Study, trial: FrozenTrial) -> bool:
        """Return whether a training ends at its last epoch: it reached a rung, and is not among the best."""
        step = trial.last_step
        rung = None if step is None else self._find_rung(trial)
        if step is None or rung is None:
            return False
        value = trial.intermediate_values[step]
        others = study.get_trials(deepcopy=False)
        reached = [_find_rung_value(other, rung) for other in others if other.number != trial.number]
        return not _is_promoted(value, [each for each in reached if each is not None], study.direction)

    def _find_rung(self, trial: FrozenTrial) -> int | None:
        """Return the epoch of the rung that the last epoch reached; None if an earlier one had reached it."""
        *_, step = sorted(trial.intermediate_values)
        rung = self._first_rung
        while rung * _REDUCTION <= step:
            rung *= _REDUCTION
        earlier = [each for each in trial.intermediate_values if rung <= each < step]
        return rung if rung <= step and not earlier else None


def build_pruner(settings: SweepSettings) -> BasePruner:
    """Build the pruner of a sweep. Steps are epochs from 1; those of Wilcoxon are repetitions."""
    if settings.pruner == "median":
        # has_enough_points counts: Optuna would count points that were not trained here, too
        return MedianPruner(n_startup_trials=0, n_warmup_steps=settings.pruner_warmup + 1)
    if settings.pruner == "asha":
        return HalvingPruner(settings.pruner_warmup + 1)
    if settings.pruner == "wilcoxon":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            return WilcoxonPruner(p_threshold=WILCOXON_THRESHOLD)
    return NopPruner()


def has_enough_points(study: Study, startup: int) -> bool:
    """Return whether enough points were trained to the end to judge others by them.

    A point that took the result of an equal one is no further training, and one that DVC restored has no
    values to compare with.
    """
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    trained = [
        trial for trial in complete if trial.intermediate_values and records.DUPLICATE not in trial.user_attrs
    ]
    return len(trained) >= max(1, startup)


def _find_rung_value(trial: FrozenTrial, rung: int) -> float | None:
    """Return the value of a training at the first epoch that reached a rung; None if it has not."""
    reached = [step for step in trial.intermediate_values if step >= rung]
    return trial.intermediate_values[min(reached)] if reached else None


def _is_promoted(value: float, others: Sequence[float], direction: StudyDirection) -> bool:
    if math.isnan(value):
        return False
    ranked = sorted([*others, value], reverse=direction == StudyDirection.MAXIMIZE)
    limit = ranked[max(0, len(ranked) // _REDUCTION - 1)]
    return value >= limit if direction == StudyDirection.MAXIMIZE else value <= limit
