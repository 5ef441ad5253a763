"""The search spaces of conf/sweep: each composes, and each of their combinations can run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from hydra_plugins.finetrack_sweeper import FinetrackSweeper
from pipeline.compose.stage import compose_conf
from pipeline.config.schema import ConfigError, parse_config
from pipeline.core.errors import UserError
from pipeline.sweep.settings import SweepSettings
from pipeline.sweep.space.plan_space import plan_space
from pipeline.sweep.space.prepared_spaces import drop_prepared_spaces
from pipeline.sweep.space.sweep_words import list_chosen_words, parse_settings

ROOT = Path(__file__).parents[3]
SPACES = sorted(path.stem for path in (ROOT / "conf/sweep").glob("*.yaml"))
STRATEGIES = ("full", "head", "gradual", "scratch")


pytestmark = pytest.mark.usefixtures("shared_conf")


def read_space(name: str, *words: str):
    """Return the overrides, but for the name of the space, and the settings that Hydra hands the sweeper."""
    with initialize_config_dir(str(ROOT / "conf"), version_base=None):
        found = compose("config", overrides=[f"+sweep={name}", *words], return_hydra_config=True)
    values = OmegaConf.to_container(found.hydra.sweeper)
    assert values.pop("_target_") == f"{FinetrackSweeper.__module__}.{FinetrackSweeper.__name__}"
    return list_chosen_words(values.pop("params"), []), parse_settings(values)


@pytest.mark.parametrize("name", SPACES)
def test_all_combinations_of_a_prepared_space_can_run(name):
    overrides, settings = read_space(name)
    found = plan_space(overrides, settings)
    assert found.notes == (() if found.points else ("the first point is the configuration itself",))
    assert settings.trials or len(found.points) > 2
    if name in STRATEGIES:
        assert found.first["finetune"]["strategy"] == name


@pytest.mark.fault(3, "a prepared space is given to `dvc exp run`")
@pytest.mark.parametrize("name", SPACES)
def test_a_prepared_space_is_refused_where_one_training_would_run(name):
    values = compose_conf([f"+sweep={name}"]).values
    with pytest.raises(
        ConfigError, match=rf"^\+sweep={name} is a search space.*finetrack sweep \+sweep={name}"
    ):
        parse_config(values)


@pytest.mark.parametrize("word", ["+sweep=quick", "++sweep=quick", "+sweep='quick'"])
def test_the_jobs_of_a_sweep_do_not_name_its_prepared_space(word):
    assert drop_prepared_spaces([word, "seed=1,2", "+sweep.x=1"]) == ["seed=1,2", "+sweep.x=1"]


@pytest.fixture
def own_space(tmp_path, monkeypatch):
    """Write a space of one's own."""
    (tmp_path / "conf/sweep").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "conf/sweep/mine.yaml"


def test_a_space_of_ones_own_without_the_key_reaches_the_jobs(own_space):
    own_space.write_text("hydra: {}\nfinetune: {epochs: 5}\n")
    assert drop_prepared_spaces(["+sweep=mine"]) == ["+sweep=mine"]


@pytest.mark.fault(3, "a copy of a prepared space also sets values")
def test_a_prepared_space_with_values_that_would_reach_no_job_is_refused(own_space):
    own_space.write_text("prepared_sweep: mine\nhydra: {}\nfinetune: {epochs: 5}\n")
    with pytest.raises(UserError, match="finetune"):
        drop_prepared_spaces(["+sweep=mine"])


def test_the_quick_space_has_twelve_jobs():
    overrides, settings = read_space("quick")
    assert len(plan_space(overrides, settings).points) == 12


def test_each_strategy_has_a_space():
    assert {*STRATEGIES, "quick", "thorough", "finetune", "base_weights"} <= set(SPACES)


def test_a_setting_of_the_command_wins_over_that_of_a_prepared_space():
    assert read_space("finetune")[1].trials == 30
    assert read_space("finetune", "hydra.sweeper.trials=7")[1].trials == 7


def test_hydra_runs_a_command_with_this_projects_sweeper(tmp_path):
    """As python -m does: in the project's folder, with a module that stands for pipeline.sweep's own main."""
    script = """
import sys, types, hydra
seen = types.ModuleType("pipeline.sweep.run")
seen.run_planned_sweep = lambda overrides, settings: print(overrides, settings.trials, settings.objectives)
sys.modules["pipeline.sweep.run"] = seen
from pipeline.sweep.space.sweep_words import translate_sweep_words
sys.argv = ["sweep", "--multirun", *translate_sweep_words(sys.argv[1:])]
hydra.main(config_path=sys.path[0] + "/conf", config_name="config", version_base=None)(lambda _: None)()
"""
    words = [
        "+sweep=head",
        "finetune.lr0=interval(1e-3,1e-2)",
        "sweep.trials=3",
        "sweep.objectives=mAP50,seconds",
    ]
    command = [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(ROOT)!r})\n{script}", *words]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    overrides = "'finetune=head', 'finetune.freeze=5,backbone'"
    assert overrides in done.stdout
    assert "'+sweep=head', 'finetune.lr0=interval(1e-3,1e-2)'] 3 ('mAP50', 'seconds')" in done.stdout
    assert list(tmp_path.iterdir()) == [], "Hydra wrote something"


def test_the_plugin_imports_nothing_heavy():
    """Every composition of `dvc exp run` imports it."""
    script = (
        "import hydra_plugins.finetrack_sweeper, sys\n"
        "print([name for name in sys.modules if name.startswith(('pipeline', 'optuna', 'torch'))])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "[]"


def test_settings_reach_the_sweeper_as_plain_values():
    sweeper = FinetrackSweeper(params=OmegaConf.create({"seed": [1, 2]}), objectives=OmegaConf.create(["a"]))
    assert (sweeper.params, sweeper.settings) == ({"seed": [1, 2]}, {"objectives": ["a"]})
    assert parse_settings(sweeper.settings) == SweepSettings(objectives=("a",))
