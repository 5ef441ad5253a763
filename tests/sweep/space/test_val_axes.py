"""Axes whose points have other val images, or another task: nothing judges one by the scores of another."""

from __future__ import annotations

import pytest

from pipeline.core.errors import UserError
from pipeline.sweep.settings import SweepSettings
from pipeline.sweep.space.plan_space import plan_space

pytestmark = pytest.mark.usefixtures("shared_conf")
RATES = "finetune.lr0=interval(1e-4,1e-2)"
TASKS = "data.task=detect,segment"


def plan(*overrides: str, **settings):
    return plan_space(overrides, SweepSettings(**settings))


def find_told(*overrides: str, **settings) -> list[str]:
    return [note for note in plan(*overrides, **settings).notes if "different val images" in note]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["data.seed=1,2"], True),
        ([TASKS], True),
        (["data.folds=5", "data.fold=0,1"], True),
        (["data.folds=5", "data.fold=range(0,5)", "data.seed=1,2"], True),
        (["data.folds=5", "data.fold=range(0,5)", "seed=1,2"], False),
        (["data.imgsz=320,640"], False),
        (["data.fraction=0.5,1.0"], False),
        (["+experiment=smoke,foundation"], True),
        (["model=yolo26n,yolo11n"], False),
    ],
)
def test_an_axis_that_changes_the_val_images_is_told(words, told):
    assert bool(find_told(*words)) is told


@pytest.mark.parametrize(
    ("words", "settings"),
    [
        ([TASKS, "finetune.lr0=1e-3,2e-3"], {"pruner": "median"}),
        ([TASKS, "finetune.lr0=1e-3,2e-3"], {"pruner": "asha"}),
        (["data.seed=1,2"], {"pruner": "wilcoxon", "seeds": 4}),
        (["data=auto", "data.source=/a,/b"], {"pruner": "median"}),
        (["data=demo,shapes"], {"pruner": "median"}),
        (["+experiment=smoke,foundation"], {"pruner": "median"}),
        ([TASKS, RATES], {}),
        ([TASKS, RATES], {"sampler": "gp"}),
        ([TASKS, "seed=1,2"], {"sampler": "tpe"}),
    ],
)
def test_nothing_that_compares_scores_goes_with_such_an_axis(words, settings):
    with pytest.raises(UserError, match="one sweep for each value"):
        plan(*words, **settings)


@pytest.mark.parametrize(
    ("words", "settings"),
    [
        ([TASKS, RATES], {"sampler": "random"}),
        ([TASKS, "seed=1,2"], {}),
        (["data.fraction=0.5,1.0", RATES], {"pruner": "median"}),
        (["data.task=segment", RATES], {"pruner": "median"}),
    ],
)
def test_what_compares_nothing_goes_with_it(words, settings):
    assert plan(*words, **settings).space.axes
