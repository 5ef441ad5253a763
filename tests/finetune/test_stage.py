"""The stage as DVC runs it: killed and resumed, offline, with an empty home, in one MLflow run."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from pipeline.config.schema import parse_config
from pipeline.core.errors import UserError
from pipeline.core.paths import FINETUNED_FOLDER, PARAMS_FILE, TRAINING_METRICS_FILE, TRAINING_PLOTS_FOLDER
from pipeline.finetune.outputs import OUTPUTS
from pipeline.finetune.run_name import name_training
from pipeline.finetune.stage import gather_inputs, run_stage
from pipeline.storage.files import hold_writer_lock
from pipeline.storage.scratch_folder import create_scratch_folder
from tests import trainings

GUARD = """
import socket, sys
def refuse(*where, **_):
    if not (where and isinstance(where[0], socket.socket) and where[0].family == socket.AF_UNIX):
        open({log!r}, "a").write(f"{{where}}\\n")
    raise OSError("no network in this test")
socket.socket.connect = socket.socket.connect_ex = socket.getaddrinfo = socket.create_connection = refuse
"""
"""sitecustomize.py of the stage's process: it logs and refuses every network connection."""


@pytest.fixture
def project(tmp_path):
    """A project with a prepared dataset, an empty home, and no network."""
    root = tmp_path / "project"
    trainings.dataset(root)
    for name in ("home", "guard"):
        (tmp_path / name).mkdir()
    (tmp_path / "guard/sitecustomize.py").write_text(GUARD.format(log=str(tmp_path / "asked")))
    return root


def _configure(root, **changes):
    small = [
        *("finetune=scratch", "finetune.epochs=4", "finetune.imgsz=64", "finetune.batch=4"),
        *("finetune.warmup_epochs=0.0", "tracking.system_metrics=false"),
    ]
    with initialize_config_dir(str(trainings.CONF), version_base=None):
        given = [f"{key}={value}" for key, value in changes.items()]
        values = OmegaConf.to_container(compose("config", overrides=[*small, *given]), resolve=True)
    (root / PARAMS_FILE).write_text(yaml.safe_dump(values))


def _start(root):
    code = trainings.CONF.parent
    kept = {
        name: value for name, value in os.environ.items() if not name.endswith(("CONFIG_DIR", "CONFIGDIR"))
    }
    path = f"{root.parent / 'guard'}{os.pathsep}{code}"
    environment = {**kept, "HOME": str(root.parent / "home"), "PYTHONPATH": path}
    return subprocess.Popen(
        [sys.executable, "-m", "pipeline", "finetune"],
        cwd=root,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def _finish(process):
    said, _ = process.communicate(timeout=300)
    return process.returncode, said


def _wait_for_epoch(root, process, epoch):
    while not list((root / ".finetrack/checkpoints").glob(f"*/{epoch:06d}-*.ckpt")):
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.02)


def _read_outputs(root):
    files = [path for place in OUTPUTS for path in (root / place, *(root / place).glob("*"))]
    return {path: path.read_bytes() for path in files if path.is_file()}


def _steps(root):
    with (root / TRAINING_PLOTS_FOLDER / "epochs.csv").open() as file:
        return [int(row["epoch"]) for row in csv.DictReader(file)]


def _runs(root):
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{root / 'mlflow.db'}")
    [experiment] = [found for found in client.search_experiments() if found.name == "finetrack"]
    return client, client.search_runs([experiment.experiment_id], order_by=["start_time ASC"])


def _kill_after_epoch(root, epoch):
    process = _start(root)
    _wait_for_epoch(root, process, epoch)
    process.send_signal(signal.SIGKILL)
    process.communicate()


@pytest.mark.fault(4, "SIGKILL in mid-training, then the same or other values")
def test_killed_training_resumes_in_the_same_run(project):
    _configure(project, **{"finetune.average": 2})
    _kill_after_epoch(project, 2)
    assert not (project / FINETUNED_FOLDER).exists()
    last, contents = _resume_to_the_end(project)
    assert _steps(project) == [1, 2, 3, 4]
    _check_run(project)

    outputs = _read_outputs(project)
    shutil.rmtree(last.parent / "finished")  # as if it was killed after the end of the run, before this
    for path, content in contents.items():
        path.write_bytes(content)
    code, said = _finish(_start(project))
    assert (code, "training on" in said) == (0, False), said
    assert "finetune: trained before, outputs written again; val mAP50-95 " in said
    _check_run(project)  # no second run, and no step twice
    assert _read_outputs(project) == outputs
    assert [path.name for path in last.parent.iterdir()] == ["finished"]
    assert not list((project.parent / "home").rglob("*"))
    assert not (project.parent / "asked").exists(), (project.parent / "asked").read_text()


@pytest.mark.slow
@pytest.mark.fault(4, "SIGKILL in mid-training, then the same or other values")
def test_killed_training_with_other_values_starts_anew(project):
    _configure(project)
    _kill_after_epoch(project, 1)
    _configure(project, **{"finetune.lr0": 0.0005, "finetune.epochs": 1})
    code, said = _finish(_start(project))
    assert code == 0, said
    assert _steps(project) == [1]
    assert [run.info.status for run in _runs(project)[1]] == ["KILLED", "FINISHED"]


def _resume_to_the_end(root):
    """Resume after epoch 2 of 4; return the path of the last checkpoint, and all files beside it."""
    process = _start(root)
    _wait_for_epoch(root, process, 4)
    [last] = (root / ".finetrack/checkpoints").glob("*/000004-*.ckpt")
    contents = {path: path.read_bytes() for path in (last, last.parent / "training.json")}
    code, said = _finish(process)
    assert code == 0, said
    assert "for 4 epochs, from epoch 3, " in said
    return last, contents


def _check_run(root):
    client, [run] = _runs(root)
    assert run.info.status == "FINISHED"
    told = json.loads((root / FINETUNED_FOLDER / "run.json").read_text())
    assert (told["run_id"], told["strategy"]) == (run.info.run_id, "scratch")
    assert run.data.tags["finetrack.key"] == told["key"]
    assert not any(name.startswith("evaluate.") for name in run.data.params)  # nobody has evaluated it
    points = client.get_metric_history(run.info.run_id, "metrics/mAP50-95")
    assert sorted(point.step for point in points) == [1, 2, 3, 4]
    assert run.data.params["effective.optimizer"] == "AdamW"
    assert {"finetrack.overfitting", "finetrack.data.digest", "finetrack.seed"} <= set(run.data.tags)
    assert run.data.tags["finetrack.threads"] == run.data.params["effective.threads"] == "1"
    assert run.data.metrics["system/threads"] == 1
    report = json.loads((root / TRAINING_METRICS_FILE).read_text())
    told_of = report["average"]["epochs"]
    assert told["effective"]["average"] == run.data.params["effective.average"]
    assert told["effective"]["average"].endswith(
        f"epochs {told_of}, statistics {report['average']['statistics']}"
    )
    assert report["average"]["val" if report["average"]["is_best"] else "val_of_best_epoch"] == report["val"]
    assert run.data.metrics["best/mAP50-95"] == report["val"]["mAP50-95"]


@pytest.mark.fault(8, "SIGTERM in mid-training")
def test_sigterm_leaves_a_killed_run_and_a_checkpoint(project):
    _configure(project)
    process = _start(project)
    _wait_for_epoch(project, process, 1)
    process.send_signal(signal.SIGTERM)
    code, said = _finish(process)
    assert code == 143, said
    assert said.rstrip().endswith("finetune: stopped; run it again to go on")
    assert _runs(project)[1][0].info.status == "KILLED"
    assert list((project / ".finetrack/checkpoints").glob("*/*.ckpt"))


def test_run_records_its_task(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    trainings.dataset(tmp_path, task="classify")
    _configure(tmp_path, **{"finetune.epochs": 1, "data.task": "classify"})
    run_stage(parse_config(yaml.safe_load(PARAMS_FILE.read_text())))
    _, [run] = _runs(tmp_path)
    told = json.loads((FINETUNED_FOLDER / "run.json").read_text())
    report = json.loads(TRAINING_METRICS_FILE.read_text())
    assert told["task"] == run.data.tags["finetrack.task"] == run.data.params["effective.task"] == "classify"
    assert report["val"].keys() == {"top1", "top5"}
    assert run.data.metrics["best/top1"] == report["val"]["top1"]
    assert run.info.run_name.startswith("scratch-yolo26n-cls-lr")
    assert (TRAINING_PLOTS_FOLDER / "curves.png").exists()


def test_names_of_official_models_follow_the_task(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    trainings.dataset(tmp_path, task="segment")
    Path("yolo26n-seg.pt").write_bytes(b"a")
    _configure(tmp_path, finetune="full", model="yolo26n")
    config = parse_config(yaml.safe_load(PARAMS_FILE.read_text()))
    inputs = gather_inputs(config)
    assert (inputs.base.path.name, inputs.base.architecture) == ("yolo26n-seg.pt", "yolo26n-seg.yaml")
    name = name_training(config, inputs.base, task=inputs.prepared.task, key=inputs.key)
    assert name.startswith("full-yolo26n-seg-lr")
    Path("mine.pt").write_bytes(b"b")
    _configure(
        tmp_path, finetune="full", model="yolo26n", **{"model.weights": "mine.pt", "model.sha256": "null"}
    )
    base = gather_inputs(parse_config(yaml.safe_load(PARAMS_FILE.read_text()))).base
    assert (base.path.name, base.architecture) == ("mine.pt", "yolo26n-seg.yaml")


@pytest.mark.fault(13, "two processes train the same")
def test_second_process_on_the_same_training_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    trainings.dataset(tmp_path)
    _configure(tmp_path)
    config = parse_config(yaml.safe_load(PARAMS_FILE.read_text()))
    key = gather_inputs(config).key
    with (
        hold_writer_lock(create_scratch_folder("locks") / f"{key}.lock", what="it"),
        pytest.raises(UserError, match=f"another process is at work on the training {key[:6]}"),
    ):
        run_stage(config)


@pytest.mark.parametrize("name", ["teacher.pt", "own.yaml"])
def test_changed_teacher_or_architecture_file_changes_the_run_key(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    trainings.dataset(tmp_path)
    _configure(tmp_path, **{"finetune.distill_model": "teacher.pt", "model.architecture": "own.yaml"})
    config = parse_config(yaml.safe_load(PARAMS_FILE.read_text()))
    for place in ("teacher.pt", "own.yaml"):
        (tmp_path / place).write_bytes(b"a")
    before = gather_inputs(config).key
    assert gather_inputs(config).key == before
    (tmp_path / name).write_bytes(b"b")
    assert gather_inputs(config).key != before


def test_another_name_of_the_same_weights_is_another_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    trainings.dataset(tmp_path)
    keys = set()
    for name in ("steel", "steel-2"):
        _configure(
            tmp_path, **{"finetune": "full", "model.weights": trainings.FOUNDATION, "model.name": name}
        )
        keys.add(gather_inputs(parse_config(yaml.safe_load(PARAMS_FILE.read_text()))).key)
    assert len(keys) == 2


def test_the_number_of_threads_changes_the_run_key_and_that_of_workers_does_not(tmp_path, monkeypatch):
    """Threads decide the bytes of the weights."""
    monkeypatch.chdir(tmp_path)
    trainings.dataset(tmp_path)
    keys = []
    for threads, workers in (("auto", 8), (1, 8), (2, 8), (2, 0)):
        _configure(tmp_path, **{"finetune.threads": threads, "finetune.workers": workers})
        keys.append(gather_inputs(parse_config(yaml.safe_load(PARAMS_FILE.read_text()))).key)
    assert len(set(keys[:3])) == 3
    assert keys[3] == keys[2]


def test_the_numbers_of_gpus_do_not_change_the_run_key_and_their_count_does(tmp_path, monkeypatch):
    """A training that was stopped goes on upon another GPU."""
    monkeypatch.chdir(tmp_path)
    trainings.dataset(tmp_path)
    keys = []
    for device in (0, "cuda:1", "'2'", "[0,1]", "'3,1'", "cpu", "null"):
        _configure(tmp_path, **{"finetune.device": device})
        keys.append(gather_inputs(parse_config(yaml.safe_load(PARAMS_FILE.read_text()))).key)
    assert [keys.index(key) for key in keys] == [0, 0, 0, 3, 3, 5, 6]


@pytest.mark.parametrize(("train", "val", "split"), [(0, 4, "train"), (4, 0, "val")])
def test_split_without_objects_is_refused(tmp_path, monkeypatch, train, val, split):
    monkeypatch.chdir(tmp_path)
    trainings.dataset(tmp_path, train=train, val=val)
    _configure(tmp_path)
    config = parse_config(yaml.safe_load(PARAMS_FILE.read_text()))
    with pytest.raises(UserError, match=f"the {split} split of data/prepared has no labelled object"):
        run_stage(config)
    assert not Path("mlflow.db").exists()
