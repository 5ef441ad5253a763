"""Give pruned points a value for samplers that would forget them, and so propose them again and again."""

from __future__ import annotations

from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial


def sample_with_pruned_points(
    sampler: BaseSampler, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
) -> dict[str, Any]:
    """Sample a point as if each pruned one had been trained to the end, and been as bad as the worst one.

    What the sampler notes at the trial, such as the state of CMA-ES, is written to the study.

    Args:
        sampler: A sampler that reads complete trials alone.
        study: The study.
        trial: The trial that is sampled.
        search_space: The axes to sample.
    """
    copied = _copy_study(study)
    sampled = copied.ask()
    params = sampler.sample_relative(copied, copied.get_trials(deepcopy=False)[-1], search_space)
    for name, value in copied.get_trials()[sampled.number].system_attrs.items():
        study._storage.set_trial_system_attr(trial._trial_id, name, value)
    return params


def _copy_study(study: Study) -> Study:
    """Copy a study into memory, with values for its pruned trials."""
    trials = study.get_trials(deepcopy=False)
    values = [
        trial.value for trial in trials if trial.state == TrialState.COMPLETE and trial.value is not None
    ]
    maximized = study.direction == StudyDirection.MAXIMIZE
    worst = (min(values) if maximized else max(values)) if values else None
    copied = optuna.create_study(sampler=RandomSampler(seed=0), direction=study.direction)
    for trial in trials:
        if trial.state == TrialState.PRUNED and worst is not None:
            copied.add_trial(_complete(trial, worst))
        elif trial.state == TrialState.COMPLETE or (trial.state == TrialState.RUNNING and trial.params):
            copied.add_trial(trial)
    return copied


def _complete(trial: FrozenTrial, value: float) -> FrozenTrial:
    return create_trial(
        value=value, params=trial.params, distributions=trial.distributions, system_attrs=trial.system_attrs
    )
