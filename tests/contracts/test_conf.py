"""conf/, the schema, params.yaml and the commands in conf/'s own headers agree."""

from __future__ import annotations

import itertools
import json
import re
import shlex
from pathlib import Path

import pytest
import yaml
from dvc.utils.serialize import load_yaml
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from pipeline.config.messages import flatten_schema
from pipeline.config.schema import PREPARED_SWEEP_KEY, Config, parse_config
from pipeline.core.config_diff import diff_configs, flatten_config
from pipeline.storage.fingerprint import fingerprint_config_folder

ROOT = Path(__file__).parents[2]
CONF = ROOT / "conf"
GROUPS = ("data", "augment", "model", "finetune", "evaluate", "tracking", "compute")
OPTIONS = [f"{group}={path.stem}" for group in GROUPS for path in sorted((CONF / group).glob("*.yaml"))]
NAMED = [path for group in ("experiment", "sweep") for path in sorted((CONF / group).glob("*.yaml"))]
KNOWN = flatten_schema(Config.model_json_schema())


def composed(*overrides: str) -> dict:
    with initialize_config_dir(str(CONF), version_base=None):
        found = compose("config", overrides=list(overrides))
    OmegaConf.resolve(found)
    values = OmegaConf.to_container(found)
    if values["data"]["source"] == "???":
        values["data"]["source"] = "images"
    return values


def header(path: Path) -> list[str]:
    """Return the overrides of the command that a file opens with."""
    lines = itertools.takewhile(lambda line: line.startswith("#"), path.read_text().splitlines())
    commands = [line.strip("# ") for line in lines if re.match(r"#\s*(dvc exp run|python -m pipeline)", line)]
    assert commands, f"{path} does not open with the command that runs it"
    return [word for word in shlex.split(commands[0]) if "=" in word]


@pytest.mark.parametrize("option", OPTIONS)
def test_every_option_composes_and_is_valid(option):
    parse_config(composed(option))


@pytest.mark.parametrize("path", NAMED, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_the_command_that_a_named_combination_opens_with_is_valid(path):
    overrides = header(path)
    assert any(word.lstrip("+") == f"{path.parent.name}={path.stem}" for word in overrides)
    values = composed(*overrides)
    is_space = path.parent.name == "sweep"
    assert values.pop(PREPARED_SWEEP_KEY, None) == (path.stem if is_space else None)
    parse_config(values)


def test_params_yaml_is_conf_composed():
    found = diff_configs(composed(), load_yaml(ROOT / "params.yaml"))
    assert not found, "params.yaml differs from conf/: run `python -m pipeline compose`, and commit both"


def test_the_lock_is_of_this_conf():
    lock = json.loads((ROOT / "compose.lock.json").read_text())
    assert lock["conf"] == fingerprint_config_folder(CONF), (
        "run `python -m pipeline compose`, and commit the lock"
    )
    assert lock["composed"] == composed()


def test_the_schema_has_the_keys_that_conf_has():
    assert set(KNOWN) == set(flatten_config(composed()))


def test_no_key_that_the_run_cache_drops():
    names = {part for key in [*KNOWN, *flatten_config(composed())] for part in key.split(".")}
    assert not names & {"size", "nfiles"}, "two configurations that differ there would share their results"


@pytest.mark.parametrize("path", sorted(CONF.rglob("*.yaml")), ids=lambda path: str(path.relative_to(CONF)))
def test_nothing_is_taken_from_the_clock_or_the_machine(path):
    values = yaml.safe_load(path.read_text()) or {}
    values.pop("hydra", None)
    assert not re.search(r"\$\{(now|oc\.env|hydra)[:.]", json.dumps(values))


@pytest.mark.parametrize("path", sorted(CONF.rglob("*.yaml")), ids=lambda path: str(path.relative_to(CONF)))
def test_every_file_opens_by_saying_what_it_is(path):
    assert path.read_text().startswith("#")


def test_classes_are_chosen_as_the_readme_says():
    text = (ROOT / "README.md").read_text("utf-8")
    overrides = re.findall(r"`-S '(\+?data\.classes\.[^']+)'`", text)
    assert len(overrides) == 2
    classes = parse_config(composed("data=auto", *overrides)).data.classes
    assert (classes.keep, classes.rename) == (["cat", "dog"], {"kitten": "cat"})
