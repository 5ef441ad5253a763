"""What DVC records is what was used: parameters that change meanwhile, and names that Ultralytics changes."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import time
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

import pytest
import yaml
from mlflow import MlflowClient

from pipeline.storage.files import hash_file
from tests.e2e.conftest import ROOT, Project, create, use_smoke_values

pytestmark = pytest.mark.slow

FOLDER = "it's 100%20 a?b#c"
WEIGHTS = "nets/o'brien %20?#ü.pt"
STRIPPED = WEIGHTS.replace("'", "")


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Project:
    """A project in a folder with special characters, with weights of such a name, reproduced halfway."""
    folder = tmp_path_factory.mktemp("records") / FOLDER
    project = create(folder)
    (folder / "nets").mkdir()
    shutil.copy(ROOT / "models/foundation/yolo26n-foundation.pt", folder / WEIGHTS)
    (folder / STRIPPED).write_bytes(b"another file, that Ultralytics would load")
    use_smoke_values(project)
    model = folder / "conf/model/foundation.yaml"
    model.write_text(
        model.read_text().replace("models/foundation/yolo26n-foundation.pt", json.dumps(WEIGHTS))
    )
    project.commit()
    return project


def start_repro(project: Project) -> subprocess.Popen[str]:
    return subprocess.Popen(
        ["dvc", "repro"],
        cwd=project.folder,
        env=project.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def wait_for_training(project: Project, process: subprocess.Popen[str]) -> None:
    while process.poll() is None and not [*project.folder.glob(".finetrack/checkpoints/*")]:
        time.sleep(0.05)


@pytest.mark.fault(3, "`dvc exp run -S` meanwhile rewrites params.yaml")
def test_parameters_that_change_during_a_training_are_not_recorded_for_it(project):
    process = start_repro(project)
    wait_for_training(project, process)
    params = (project.folder / "params.yaml").read_bytes()
    project.run("dvc exp run -S finetune.lr0=0.01", fails=True)
    said, _ = process.communicate(timeout=300)
    assert process.returncode != 0, said
    assert "finetune.lr0 0.002 -> 0.01" in said
    assert "Traceback" not in said
    assert "finetune" not in yaml.safe_load((project.folder / "dvc.lock").read_text())["stages"]

    (way_back,) = re.findall(r"`(cp [^`]* && dvc repro)`", said)
    project.run(way_back)
    assert (project.folder / "params.yaml").read_bytes() == params
    recorded = yaml.safe_load((project.folder / "dvc.lock").read_text())["stages"]["finetune"]["params"]
    assert recorded["params.yaml"]["finetune"]["lr0"] == 0.002


def test_the_run_has_the_parameters_that_were_used(project, monkeypatch):
    monkeypatch.chdir(project.folder)  # a relative URI: SQLAlchemy cannot be given such a folder
    monkeypatch.setenv("MLFLOW_SQLALCHEMYSTORE_POOL_SIZE", "1")
    client = MlflowClient("sqlite:///mlflow.db")
    (experiment,) = [found for found in client.search_experiments() if found.name != "Default"]
    (run,) = client.search_runs([experiment.experiment_id])
    assert (run.info.status, run.data.params["finetune.lr0"]) == ("FINISHED", "0.002")
    assert run.data.metrics["test/mAP50-95"] >= 0
    logged = Path(client.download_artifacts(run.info.run_id, "params.yaml"))
    assert yaml.safe_load(logged.read_text())["finetune"]["lr0"] == 0.002
    (model,) = client.search_logged_models([experiment.experiment_id])
    assert (Path(url2pathname(urlsplit(model.artifact_location).path)) / "MLmodel").is_file()


def test_the_weights_that_are_recorded_are_those_that_were_loaded(project):
    trained = json.loads((project.folder / "models/finetuned/run.json").read_text())
    assert trained["base"]["sha256"] == hash_file(project.folder / WEIGHTS)
    assert trained["base"]["weights"] == Path(WEIGHTS).name


def test_nothing_is_left_to_do(project):
    assert project.run("dvc repro").count("didn't change, skipping") == 4
