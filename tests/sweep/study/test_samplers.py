from __future__ import annotations

import optuna
import pytest
from optuna.trial import TrialState, create_trial

from pipeline.sweep.study.sampling.distributions import build_distributions, list_grid_points
from pipeline.sweep.study.sampling.impute_pruned import sample_from_copy
from pipeline.sweep.study.sampling.samplers import build_sampler, derive_seed
from tests.sweep.study.studies import CHOICES, INTERVALS, open_sweep, train


class RecordingSampler(optuna.samplers.RandomSampler):
    """A random sampler that keeps what it was shown, and notes something at the trial."""

    def sample_relative(self, study, trial, search_space):
        self.shown = study.get_trials()
        study._storage.set_trial_system_attr(trial._trial_id, "state", "kept")
        return {name: 0.5 for name in search_space}


@pytest.mark.parametrize(("direction", "worst"), [("maximize", 0.25), ("minimize", 0.75)])
def test_pruned_points_are_shown_as_the_worst_and_the_own_trial_is_not(direction, worst):
    study = optuna.create_study(direction=direction)
    axes = {"x": optuna.distributions.FloatDistribution(0, 1)}
    for number, value in enumerate((0.25, 0.75)):
        study.add_trial(create_trial(value=value, params={"x": number / 2}, distributions=axes))
    pruned = create_trial(state=TrialState.PRUNED, params={"x": 0.75}, distributions=axes)
    study.add_trial(pruned)
    study.add_trial(create_trial(state=TrialState.FAIL))
    running = study.ask(axes)
    own = study.ask()
    sampler = RecordingSampler(seed=0)
    assert sample_from_copy(sampler, study, study.trials[own.number], axes) == {"x": 0.5}
    shown = [(trial.params.get("x"), trial.values) for trial in sampler.shown[:-1]]
    assert shown == [(0.0, [0.25]), (0.5, [0.75]), (0.75, [worst]), (running.params["x"], None)]
    assert study.trials[own.number].system_attrs == {"state": "kept"}


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize("sampler", ["random", "tpe", "cmaes"])
def test_jobs_that_run_at_once_are_different_points(sampler):
    study = open_sweep(INTERVALS, sampler=sampler, trials=10)
    for _ in range(6):
        study.finish_job(train(study, study.next_job()))
    jobs = [study.next_job() for _ in range(4)]
    assert len({tuple(job.values.values()) for job in jobs}) == 4
    study.close()


def test_another_seed_proposes_other_points():
    axes = build_distributions(INTERVALS)
    found = set()
    for seed in (0, 1):
        sampler = build_sampler("random", seed=seed, trials=5, grid=())
        found.add(tuple(optuna.create_study(sampler=sampler).ask(axes).params.values()))
    assert len(found) == 2


def test_seeds_are_the_same_in_every_process():
    assert derive_seed(0, 1, "x") == 3610091847
    assert derive_seed(0, 1) != derive_seed(1, 0)


def test_grid_points_are_in_the_order_of_hydra():
    points = list_grid_points(CHOICES)
    assert [tuple(point.values()) for point in points[:3]] == [
        ("full", "320"),
        ("full", "640"),
        ("full", "960"),
    ]
    assert len(points) == 6
