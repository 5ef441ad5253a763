"""A file of conf/ makes Hydra call nothing; a sweep, which is a multirun, is refused if it would."""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path

import pytest
import yaml

from pipeline.compose.hydra_code import find_foreign_code, require_own_code
from pipeline.compose.stage import compose_conf
from pipeline.core.errors import UserError

ROOT = Path(__file__).parents[2]
TOUCH = {"_target_": "pathlib.Path.touch", "self": {"_target_": "pathlib.Path", "_args_": ["ran"]}}
HANDLER = {"class": "subprocess.Popen", "args": ["touch", "ran"]}


@pytest.fixture(autouse=True)
def project(tmp_path, monkeypatch):
    shutil.copytree(ROOT / "conf", tmp_path / "conf")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write_experiment(values: dict, package: str = "_global_") -> None:
    """Write an experiment as a stranger might send it."""
    Path("conf/experiment/sent.yaml").write_text(f"# @package {package}\n{yaml.safe_dump(values)}")


SETTINGS = {
    "callback": {"callbacks": {"own": TOUCH}},
    "sweeper": {"sweeper": {"_target_": "os.system", "command": "touch ran"}},
    "launcher": {"launcher": {"_target_": "os.getcwd"}},
    "log handler": {"hydra_logging": {"handlers": {"own": HANDLER}}},
    "log factory": {"hydra_logging": {"formatters": {"simple": {"()": "os.system", "command": "touch ran"}}}},
    "log file": {
        "hydra_logging": {
            "handlers": {"console": {"class": "logging.FileHandler", "filename": "ran", "stream": None}}
        }
    },
    "log stream": {"hydra_logging": {"handlers": {"console": {"stream": "ext://antigravity.webbrowser"}}}},
}


@pytest.mark.parametrize("kind", SETTINGS)
@pytest.mark.fault(1, "an experiment in conf/ that names code for Hydra")
def test_settings_that_call_something_are_refused_and_not_called(project, kind):
    write_experiment({"hydra": SETTINGS[kind]})
    compose_conf(["+experiment=sent"])  # as for `dvc exp run`: Hydra calls nothing there
    with pytest.raises(UserError, match=r"hydra\.\S+ would run code or write a file"):
        require_own_code(["--multirun", "+experiment=sent", "seed=1,2"])
    assert not (project / "ran").exists()


def test_a_package_of_hydra_in_another_file_is_seen_too():
    write_experiment({"handlers": {"own": HANDLER}}, package="hydra.hydra_logging")
    with pytest.raises(UserError, match=r"hydra\.hydra_logging\.handlers\.own\.class=subprocess\.Popen"):
        require_own_code(["--multirun", "+experiment=sent"])


@pytest.mark.parametrize("words", [["+sweep=quick"], ["finetune.lr0=1e-3,1e-4"], ["--cfg", "job"]])
def test_settings_of_this_project_are_accepted(words):
    require_own_code(["hydra/sweeper=finetrack", *words])


def test_values_that_only_look_like_code_are_not_refused():
    assert list(find_foreign_code({"sweeper": {"params": {"data.classes": "()", "lr0": "class"}}})) == []


@pytest.mark.fault(1, "`_target_` or YAML objects in the configuration of an iteration")
@pytest.mark.parametrize(
    "values", [{"data": TOUCH}, {"model": {"own": TOUCH}}, {"tracking": {"tags": TOUCH}}]
)
def test_a_target_among_the_values_is_never_called(project, values):
    write_experiment(values)
    with contextlib.suppress(UserError):
        compose_conf(["+experiment=sent"])
    assert not (project / "ran").exists()
