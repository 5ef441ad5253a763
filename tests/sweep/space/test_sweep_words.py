"""Settings of a sweep on the command line and in files."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser

from pipeline.core.errors import UserError
from pipeline.sweep.settings import SweepSettings
from pipeline.sweep.space.sweep_words import list_chosen_words, parse_settings, translate_sweep_words


@pytest.mark.parametrize(
    ("word", "key", "value"),
    [
        ("sweep.trials=20", "trials", 20),
        ("+sweep.trials=20", "trials", 20),
        ("hydra.sweeper.trials=20", "trials", 20),
        ("sweep.trials=null", "trials", None),
        ("sweep.hours=0.5", "hours", 0.5),
        ("sweep.fail_fast=true", "fail_fast", True),
        ("sweep.name=7", "name", "7"),
        ("sweep.name='my name'", "name", "my name"),
        ("sweep.name=null", "name", None),
        ("sweep.storage=postgresql://u:p%40@h/db?x=1", "storage", "postgresql://u:p%40@h/db?x=1"),
        ("sweep.objectives=mAP50-95,milliseconds", "objectives", ["mAP50-95", "milliseconds"]),
        ("sweep.objectives=[mAP50-95]", "objectives", ["mAP50-95"]),
        ("sweep.objectives=null", "objectives", []),
        (
            "sweep.constraints=[seconds<=9, 'parameters < 3e6']",
            "constraints",
            ["seconds<=9", "parameters < 3e6"],
        ),
        ("sweep.constraints=milliseconds <= 20", "constraints", ["milliseconds <= 20"]),
        (
            'sweep.constraints="milliseconds<=20", parameters<3e6',
            "constraints",
            ["milliseconds<=20", "parameters<3e6"],
        ),
    ],
)
def test_a_setting_becomes_hydras_override(word, key, value):
    [parsed] = OverridesParser.create().parse_overrides(translate_sweep_words([word]))
    assert (parsed.key_or_group, parsed.value()) == (f"hydra.sweeper.{key}", value)
    assert getattr(parse_settings({key: value}), key) == (tuple(value) if isinstance(value, list) else value)


def test_other_words_stay():
    words = [
        "+sweep=quick",
        "finetune.lr0=1e-3,1e-2",
        "hydra.sweeper.params.seed='1,2'",
        "hydra.verbose=true",
    ]
    assert translate_sweep_words(words) == words


@pytest.mark.parametrize(
    ("word", "fault"),
    [
        ("sweep.trals=3", "did you mean sweep.trials"),
        ("hydra.sweeper.trals=3", "did you mean sweep.trials"),
        ("sweep.zzz=3", "sweep.fail_fast"),
        ("sweep.trials", "needs a value"),
        ("sweep.trials=", "needs a value"),
        ("~sweep.trials", "needs a value"),
        ("hydra/launcher=joblib", "sweep.launcher"),
        ("hydra/sweeper=basic", "leave it out"),
    ],
)
def test_a_word_that_is_no_setting_is_refused(word, fault):
    with pytest.raises(UserError) as refused:
        translate_sweep_words(["seed=1,2", word])
    assert fault in str(refused.value)


@pytest.mark.parametrize(
    ("values", "fault"),
    [
        ({"trials": 0}, "sweep.trials=0 is not allowed: it must be a whole number, at least 1"),
        ({"trials": "x"}, "sweep.trials='x'"),
        ({"seeds": True}, "sweep.seeds=true"),
        ({"folds": 1}, "sweep.folds=1"),
        ({"hours": 0}, "sweep.hours=0"),
        ({"sampler": "foo"}, "one of auto, grid, random, tpe, gp, cmaes"),
        ({"jobs": 0}, "sweep.jobs=0"),
        ({"objectives": ["a", 1]}, "sweep.objectives"),
        ({"objectives": "mAP50"}, "a list of texts"),
        ({"trals": 1}, "did you mean sweep.trials"),
        ({"trials": 0, "trals": 1}, "did you mean sweep.trials"),
    ],
)
def test_a_wrong_setting_is_refused_with_what_is_allowed(values, fault):
    with pytest.raises(UserError) as refused:
        parse_settings(values)
    assert fault in str(refused.value)


def test_the_values_of_a_prepared_sweep_come_first_and_those_of_the_command_replace_them():
    params = {"finetune.lr0": "1e-3,1e-2", "augment": "none,light", "seed": 3}
    assert list_chosen_words(params, ["+sweep=x", "augment=none", "++seed=4"]) == [
        "finetune.lr0=1e-3,1e-2",
        "+sweep=x",
        "augment=none",
        "++seed=4",
    ]


@pytest.mark.parametrize(
    ("value", "values"),
    [
        ("a,b", ["a", "b"]),
        ([0.001, 1e-05], [0.001, 1e-05]),
        (
            [None, True, "yes", "true", "a,b", "a b", "null", "x/y"],
            [None, True, "yes", "true", "a,b", "a b", "null", "x/y"],
        ),
        ([[1, 2], "backbone"], [[1, 2], "backbone"]),
    ],
)
def test_values_of_a_prepared_sweep_may_be_a_list(value, values):
    [word] = list_chosen_words({"key": value}, [])
    [parsed] = OverridesParser.create().parse_overrides([word])
    texts = [f"key={text}" for text in parsed.sweep_string_iterator()]
    assert [item.value() for item in OverridesParser.create().parse_overrides(texts)] == values


def test_axes_without_keys_are_refused():
    with pytest.raises(UserError, match="must be a mapping"):
        list_chosen_words(["seed=1,2"], [])


def test_a_mapping_is_no_axis():
    with pytest.raises(UserError, match="finetune needs values"):
        list_chosen_words({"finetune": {"lr0": "1,2"}}, [])


def test_the_settings_of_conf_are_the_defaults():
    values = yaml.safe_load((Path(__file__).parents[3] / "conf/hydra/sweeper/finetrack.yaml").read_text())
    del values["_target_"], values["params"]
    assert sorted(values) == sorted(SweepSettings.model_fields)
    assert parse_settings(values) == SweepSettings()
