from __future__ import annotations

import warnings

import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.sweep.study.sampling.pruners import HalvingPruner

CURVES = st.lists(st.lists(st.floats(0, 1), min_size=1, max_size=18), min_size=1, max_size=12)


def run(pruner, curves):
    """Report curves to a pruner, one after another; a curve ends where it is pruned. Return the ends."""
    study = optuna.create_study(direction="maximize", pruner=pruner)
    ends = []
    for curve in curves:
        trial = study.ask()
        for epoch, value in enumerate(curve, 1):
            trial.report(value, epoch)
            if trial.should_prune():
                break
        ends.append(epoch)
        study.tell(trial, value)
    return ends


@given(CURVES)
def test_halving_decides_as_optuna_does(curves):
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=4)
        assert run(HalvingPruner(1), curves) == run(theirs, curves)


@pytest.mark.parametrize(("first", "end"), [(1, 1), (3, 3), (5, 5)])
def test_halving_prunes_first_at_the_end_of_the_warm_up(first, end):
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    assert run(HalvingPruner(first), [[0.5] * 6, [0.4] * 6]) == [6, end]
