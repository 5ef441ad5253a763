"""An experiment, or the workspace, whose run has the model of another evaluation is not registered for it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pipeline.core.errors import UserError
from pipeline.iterations.iteration import Iteration
from pipeline.registry.register import _require_same_evaluation

RUN = Iteration(
    "a", "run", "full-a", run_id="a" * 32, metrics={"test/mAP50-95": 0.5}, predicts_with={"conf": 0.3}
)


def name_experiment(**facts: object) -> Iteration:
    return replace(RUN, kind="experiment", **facts)


def test_the_same_evaluation_is_registered():
    _require_same_evaluation(name_experiment(), RUN)
    _require_same_evaluation(name_experiment(metrics={"test/mAP50-95": 0.5 + 1e-9}), RUN)
    _require_same_evaluation(name_experiment(), replace(RUN, metrics={}, predicts_with={}))


@pytest.mark.fault(2, "an experiment whose run has the model of another evaluation")
@pytest.mark.parametrize(
    ("facts", "named"),
    [
        ({"metrics": {"test/mAP50-95": 0.6}}, "its figures on test"),
        ({"predicts_with": {"conf": 0.3, "tile": 640}}, "tile"),
    ],
)
def test_another_evaluation_is_refused(facts, named):
    with pytest.raises(UserError, match=rf"earlier evaluation of the same training \({named} differ\)"):
        _require_same_evaluation(name_experiment(**facts), RUN)
