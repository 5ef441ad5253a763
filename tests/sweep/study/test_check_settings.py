from __future__ import annotations

import subprocess
import sys

import pytest

from pipeline.core.errors import UserError
from pipeline.sweep.settings import SweepSettings
from pipeline.sweep.study.check_settings import check_study_settings, resolve_sampler
from tests.sweep.study.studies import CHOICES, INTERVALS, MIXED


@pytest.mark.parametrize(
    ("space", "settings", "words"),
    [
        (MIXED, {"sampler": "grid"}, "finetune.lr0 is an interval"),
        (MIXED, {"sampler": "cmaes"}, "finetune has choices"),
        (INTERVALS, {"sampler": "cmaes", "objectives": ("mAP50", "seconds")}, "one objective"),
        (INTERVALS, {"sampler": "cmaes", "constraints": ("seconds <= 3",)}, "constraints"),
        (INTERVALS, {"pruner": "median", "objectives": ("mAP50", "seconds")}, "one metric"),
        (INTERVALS, {"pruner": "asha", "objectives": ("milliseconds",)}, "not by milliseconds"),
        (INTERVALS, {"pruner": "median", "objectives": ("recall",)}, "not by recall"),
        (INTERVALS, {"pruner": "wilcoxon", "seeds": 3}, "4 or more"),
        (INTERVALS, {"objectives": ("mAP50-96",)}, "did you mean mAP50-95"),
        (INTERVALS, {"objectives": ("mAP50", "mAP50")}, "twice"),
        (INTERVALS, {"constraints": ("3",)}, "METRIC <= NUMBER"),
    ],
)
def test_settings_that_do_not_fit_are_refused(space, settings, words):
    with pytest.raises(UserError, match=words):
        check_study_settings(space, SweepSettings(**settings))


@pytest.mark.parametrize(
    ("space", "settings"),
    [
        (CHOICES, {}),
        (MIXED, {"pruner": "median"}),
        (MIXED, {"sampler": "gp", "objectives": ("mAP50", "seconds")}),
        (INTERVALS, {"sampler": "cmaes", "pruner": "asha"}),
        (INTERVALS, {"pruner": "wilcoxon", "seeds": 2, "folds": 2, "objectives": ("milliseconds",)}),
    ],
)
def test_settings_that_fit_pass(space, settings):
    check_study_settings(space, SweepSettings(**settings))


def test_auto_is_grid_where_there_is_a_last_combination():
    assert resolve_sampler(CHOICES, SweepSettings()) == "grid"
    assert resolve_sampler(MIXED, SweepSettings()) == "tpe"
    assert resolve_sampler(CHOICES, SweepSettings(sampler="random")) == "random"


def test_settings_are_checked_without_optuna():
    code = "import sys, pipeline.sweep.study.check_settings as _; sys.exit('optuna' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
