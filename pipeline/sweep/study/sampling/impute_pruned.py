"""Sample from a copy of the study, in which pruned points have a value.

Samplers that read complete trials alone forget pruned ones, and so propose them again and again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial


def sample_from_copy(
    sampler: BaseSampler, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
) -> dict[str, Any]:
    """Sample a point as if each pruned one had been trained to the end, and been as bad as the worst one.

    The copy lacks the trial itself, which Optuna's GP would take for another running one after a crash. What
    the sampler notes at the trial, such as the state of CMA-ES, is written to the study.

    Args:
        sampler: A sampler that reads complete trials alone.
        study: The study.
        trial: The trial that is sampled.
        search_space: The axes to sample.
    """
    copied = _copy_study(study, trial)
    sampled = copied.ask()
    params = sampler.sample_relative(copied, copied.get_trials(deepcopy=False)[-1], search_space)
    for name, value in copied.get_trials()[sampled.number].system_attrs.items():
        study._storage.set_trial_system_attr(trial._trial_id, name, value)
    return params


def _copy_study(study: Study, sampled: FrozenTrial) -> Study:
    """Copy a study into memory, with values for its pruned trials, without the one that is sampled."""
    trials = [trial for trial in study.get_trials(deepcopy=False) if trial.number != sampled.number]
    limits = {name: 0.0 for trial in trials for name in trial.constraints}  # not measured: taken to hold
    worst = _find_worst_value(trials, study.directions)
    copied = optuna.create_study(sampler=RandomSampler(seed=0), directions=study.directions)
    for trial in trials:
        if trial.state == TrialState.PRUNED and worst is not None:
            copied.add_trial(_complete(trial, worst, limits))
        elif trial.state in {TrialState.COMPLETE, TrialState.RUNNING}:
            copied.add_trial(trial)
    return copied


def _find_worst_value(trials: Sequence[FrozenTrial], directions: Sequence[StudyDirection]) -> float | None:
    """Return the worst value of one objective; None with several, which are never pruned."""
    if len(directions) > 1:
        return None
    values = [trial.values[0] for trial in trials if trial.state == TrialState.COMPLETE]
    choose = min if directions[0] == StudyDirection.MAXIMIZE else max
    return choose(values) if values else None


def _complete(trial: FrozenTrial, value: float, constraints: dict[str, float]) -> FrozenTrial:
    return create_trial(
        value=value,
        params=trial.params,
        distributions=trial.distributions,
        system_attrs=trial.system_attrs,
        constraints=constraints,
    )
