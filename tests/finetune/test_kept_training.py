"""A training that ended, but that DVC has not recorded: it is neither lost nor trained or logged again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest
import yaml
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from pipeline.core.paths import (
    AUGMENTED_FOLDER,
    FINETUNED_FOLDER,
    PARAMS_FILE,
    PREPARED_FOLDER,
    TRAINING_METRICS_FILE,
    TRAINING_PLOTS_FOLDER,
)
from tests import trainings

STAGE = '''
"""The stage, with faults: kills of itself and of the dvc that started it."""
import os, runpy, shutil, signal, sys
from pathlib import Path
import psutil
os.environ.pop("DVC_STAGE", None)  # there is no compose stage here
import pipeline.finetune.results as results
from pipeline.yolo.training.trainer import TrainingMixin

fault = Path("fault").read_text()

def kill_dvc():
    for process in psutil.Process().parents():
        if any("dvc" in Path(part).name for part in process.cmdline()[:3]):
            process.send_signal(signal.SIGKILL)

def begin_epoch(trainer, original=TrainingMixin.begin_epoch):
    with open("epochs", "a") as file:
        file.write(f"{trainer.epoch + 1}\\n")
    if fault == "dvc while training" and trainer.epoch == 0:
        kill_dvc()
    original(trainer)

def write_outputs(*args, original=results.write_training_outputs, **kwargs):
    original(*args, **kwargs)
    if fault == "both after the outputs":
        kill_dvc()
        os.kill(os.getpid(), signal.SIGKILL)

TrainingMixin.begin_epoch, results.write_training_outputs = begin_epoch, write_outputs
sys.argv = ["pipeline", "finetune"]
try:
    runpy.run_module("pipeline", run_name="__main__", alter_sys=True)
finally:
    if fault == "dvc after the stage":
        kill_dvc()
    cache = Path(".dvc/cache/files")
    if fault == "no cache":
        shutil.rmtree(cache, ignore_errors=True)
        cache.parent.mkdir(exist_ok=True)
        cache.write_text("a file, so nothing can be cached")
'''
OUTPUTS = (FINETUNED_FOLDER, TRAINING_PLOTS_FOLDER)


@pytest.fixture
def project(tmp_path):
    """A DVC project with the finetune stage alone."""
    trainings.dataset(tmp_path)
    small = ["finetune=scratch", "finetune.epochs=1", "finetune.imgsz=64", "finetune.batch=4"]
    off = ["finetune.warmup_epochs=0.0", "tracking.system_metrics=false"]
    with initialize_config_dir(str(trainings.CONF), version_base=None):
        values = OmegaConf.to_container(compose("config", overrides=[*small, *off]), resolve=True)
    (tmp_path / PARAMS_FILE).write_text(yaml.safe_dump(values))
    (tmp_path / "stage.py").write_text(STAGE)
    finetune = {
        "cmd": f"{sys.executable} stage.py",
        "deps": [PREPARED_FOLDER.as_posix(), AUGMENTED_FOLDER.as_posix()],
        "outs": [path.as_posix() for path in OUTPUTS],
        "metrics": [{TRAINING_METRICS_FILE.as_posix(): {"cache": False}}],
    }
    (tmp_path / "dvc.yaml").write_text(yaml.safe_dump({"stages": {"finetune": finetune}}))
    for command in (["git", "init", "-q"], [sys.executable, "-m", "dvc", "init", "-q"]):
        subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    return tmp_path


def _repro(root, fault="", options=()):
    """Run `dvc repro` with a fault; return its exit code and what it printed."""
    (root / "fault").write_text(fault)
    environment = {**os.environ, "PYTHONPATH": str(trainings.CONF.parent), "DVC_ROOT": ""}
    process = subprocess.run(
        [sys.executable, "-m", "dvc", "repro", *options],
        cwd=root,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
    )
    return process.returncode, process.stdout


def _read_outputs(root):
    files = [path for folder in OUTPUTS for path in (root / folder).rglob("*")]
    return {path: path.read_bytes() for path in [*files, root / TRAINING_METRICS_FILE]}


def _check_one_training(root):
    """Check that DVC recorded the training, that each epoch ran once, and that there is one finished run."""
    from mlflow import MlflowClient

    assert "finetune" in yaml.safe_load((root / "dvc.lock").read_text())["stages"]
    assert (root / "epochs").read_text().split() == ["1"]
    client = MlflowClient(f"sqlite:///{root / 'mlflow.db'}")
    [run] = client.search_runs([client.get_experiment_by_name("finetrack").experiment_id])
    assert run.info.status == "FINISHED"
    assert run.data.params["effective.epochs"] == "1"
    points = {name: client.get_metric_history(run.info.run_id, name) for name in run.data.metrics}
    assert {name for name, found in points.items() if len(found) > 1} == set()
    assert len(client.search_logged_models([run.info.experiment_id])) == 1


def _wait_until_kept(root):
    """Wait for the stage, which goes on without its dvc."""
    while not list((root / ".finetrack/checkpoints").glob("*/finished/finished.json")):
        time.sleep(0.1)
    time.sleep(1.0)


@pytest.mark.slow
@pytest.mark.fault(12, "DVC's cache fails after a training; dvc is killed before it writes dvc.lock")
def test_finished_training_survives_a_cache_that_fails_and_a_kill_of_dvc(project):
    code, said = _repro(project, "no cache")
    assert code != 0, said
    assert not (project / "dvc.lock").exists()
    expected = _read_outputs(project)
    (project / ".dvc/cache/files").unlink()
    code, said = _repro(project, "dvc after the stage")
    assert code == -signal.SIGKILL, said
    assert not (project / "dvc.lock").exists()
    code, said = _repro(project)
    assert code == 0, said
    assert "trained before" in said
    assert _read_outputs(project) == expected
    _check_one_training(project)


@pytest.mark.slow
@pytest.mark.fault(12, "dvc, or dvc and its stage, are killed around the end of a training")
@pytest.mark.parametrize("fault", ["dvc while training", "both after the outputs"])
def test_stop_before_dvc_records_the_training_leaves_one_training(project, fault):
    code, said = _repro(project, fault)
    assert code == -signal.SIGKILL, said
    if fault == "dvc while training":
        _wait_until_kept(project)
    expected = _read_outputs(project)
    code, said = _repro(project)
    assert code == 0, said
    assert _read_outputs(project) == expected
    _check_one_training(project)
    code, said = _repro(project, options=["-f"])  # recorded by now: this asks for another training
    assert code == 0, said
    assert (project / "epochs").read_text().split() == ["1", "1"]
