"""The help of `finetrack sweep` names every setting and the words that it may have."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.sweep.command_help import render_help
from pipeline.sweep.settings import SweepSettings

CONF = Path(__file__).parents[2] / "conf"


@pytest.mark.parametrize("name", SweepSettings.model_fields)
def test_each_setting_is_named(name):
    assert f"\n  sweep.{name} " in render_help(CONF)


@pytest.mark.parametrize("word", ["median", "cmaes", "slurm", "skip", "best"])
def test_the_words_of_a_setting_are_named(word):
    assert word in render_help(CONF)
