"""A sweep as a user types it: each job a DVC experiment, all runs under one parent."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time

import pytest
from mlflow.entities import Run
from mlflow.tracking import MlflowClient

from pipeline.sweep.preconditions import create_sweep_folder
from tests.e2e.conftest import Project

SWEEP = "python -m pipeline.sweep -m"


def parents(project) -> list[Run]:
    """Return the parent runs, the newest first."""
    client = MlflowClient(f"sqlite:///{project.folder}/mlflow.db")
    (experiment,) = (found for found in client.search_experiments() if found.name == "finetrack")
    return client.search_runs([experiment.experiment_id])


def rows(output: str) -> list[list[str]]:
    """Return the table's rows: job, score, status, experiment, overrides."""
    table = re.split(r"val .*status", output)[-1].partition("\n\n")[0]
    return [line.split(maxsplit=4) for line in table.splitlines()[1:]]


@pytest.fixture
def running(tiny):
    """Start a sweep whose job waits, and wait until it does."""
    sweep = subprocess.Popen(
        [sys.executable, "-m", "pipeline.sweep", "-m", "seed=99,1"],
        cwd=tiny.folder,
        env=tiny.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    waiting = tiny.folder / ".finetrack/waiting"
    deadline = time.monotonic() + 120
    while not waiting.exists() and sweep.poll() is None and time.monotonic() < deadline:
        time.sleep(0.2)
    stage = int(waiting.read_text())
    yield sweep, stage
    sweep.kill()
    sweep.wait()
    with contextlib.suppress(ProcessLookupError):
        os.killpg(os.getpgid(stage), signal.SIGKILL)


def test_a_sweep_runs_each_combination_and_names_the_best(tiny):
    output = tiny.run(f"{SWEEP} finetune.lr0=0.01,0.02 data.seed=1")
    assert tiny.ran() == ["prepare", "finetune", "finetune"]  # prepared once: the second job restores it
    best, other = rows(output)
    assert [best[:3], other[:3]] == [["1", "0.2000", "trained"], ["0", "0.1000", "trained"]]
    assert f"dvc exp apply {best[3]}" in output
    assert tiny.status() == []
    assert not (tiny.folder / "multirun").exists()
    assert not (tiny.folder / "outputs").exists()

    (parent,) = parents(tiny)
    assert parent.info.status == "FINISHED"
    assert parent.data.metrics["best/mAP50-95"] == pytest.approx(0.2)
    assert parent.data.tags["finetrack.best"] == best[3]
    assert parent.data.params["best.finetune.lr0"] == "0.02"
    tiny.run(f"dvc exp apply {best[3]}")
    run = tiny.folder / "models/finetuned/run.json"
    assert f'"parent": "{parent.info.run_id}"' in run.read_text()


def test_a_sweep_over_folds_gives_mean_and_spread(tiny):
    tiny.edit("tiny.py", "{figure: lr0 * 10}", "{figure: lr0 * 10 + params['data']['fold'] / 10}")
    tiny.commit()
    output = tiny.run(f"{SWEEP} data.folds=3 data.fold=0,1,2 finetune.lr0=0.01")
    assert "mean 0.2000, standard deviation 0.1000 (3 folds)" in output
    assert "dvc exp apply" not in output
    (parent,) = parents(tiny)
    assert parent.data.metrics["mean/mAP50-95"] == pytest.approx(0.2)
    assert parent.data.metrics["std/mAP50-95"] == pytest.approx(0.1)
    assert parent.data.metrics["folds"] == 3
    assert "finetrack.best" not in parent.data.tags


@pytest.mark.fault(14, "a job fails")
def test_a_failed_job_is_listed_the_rest_goes_on_and_again_runs_only_what_is_missing(tiny):
    command = f"{SWEEP} finetune.lr0=0.9,0.01"
    output = tiny.run(command, fails=True)
    assert tiny.ran() == ["finetune", "finetune"]
    good, exploded = rows(output)
    assert good[:3] == ["1", "0.1000", "trained"]
    assert "finetune.lr0 lets the loss explode" in exploded[4]
    assert "1 of 2 jobs failed" in output
    assert parents(tiny)[0].info.status == "FAILED"

    output = tiny.run(command, fails=True)
    assert tiny.ran() == ["finetune"]
    assert rows(output)[0][:3] == ["1", "0.1000", "restored"]


def test_a_sweep_globs_a_group_takes_a_key_away_and_compares_jobs_of_one_task_alone(tiny):
    tiny.edit("conf/tracking/local.yaml", "tags: {}", "tags: {line: a}")
    tiny.commit()
    words = "'finetune=glob(h*)' '~tracking.tags.line' data.task=classify,obb finetune.lr0=0.01"
    output = tiny.run(f"{SWEEP} {words}")
    first, second = rows(output)
    assert [first[:4], second[:4]] == [
        ["0", "classify", "top1", "0.1000"],
        ["1", "obb", "mAP50-95", "0.1000"],
    ]
    assert "finetune=head ~tracking.tags.line=null data.task=classify" in first[4]  # Hydra writes it so
    for what, row in {"classify top1": first, "obb mAP50-95": second}.items():
        experiment = row[4].split()[1]
        assert f"best by {what}: take it into the workspace with `dvc exp apply {experiment}`" in output
    run = parents(tiny)[0]
    assert (
        run.data.metrics["best/classify/top1"] == run.data.metrics["best/obb/mAP50-95"] == pytest.approx(0.1)
    )
    assert "finetrack.best" not in run.data.tags


@pytest.mark.parametrize("sign", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
@pytest.mark.fault(14, "SIGINT or SIGTERM of a sweep")
def test_a_stopped_sweep_leaves_no_process_and_a_killed_run(tiny, running, sign):
    sweep, stage = running
    sweep.send_signal(sign)
    assert sweep.wait(60) == 128 + sign
    with pytest.raises(ProcessLookupError):
        os.kill(stage, 0)
    assert [run.info.status for run in parents(tiny)] == ["KILLED"]
    assert tiny.status() == []


def test_mistakes_are_one_sentence_and_untracked_files_are_named(tiny):
    (tiny.folder / "conf/model/mine.yaml").write_text("{}")
    (tiny.folder / "conf/sweep/mine.yaml").write_text(
        "# @package _global_\nhydra: {sweeper: {params: {seed: 'interval(0,9)'}}}\n"
    )
    for overrides, sentence in {
        "finetun.lr0=1,2": "sweep: the command: finetun.lr0 is not a known key: did you mean finetune.lr0?",
        "data.on_leak=warn,error": "sweep: the command: no job of this sweep can run: data.on_leak='warn'",
        "finetune=ful,head": "sweep: the command: there is no finetune/ful: choose one of full, gradual",
        "finetune.lr0=0.01,abc": "sweep: the command: no job with finetune.lr0=abc can run: finetune.lr0",
        "finetune.lr0=[1": "sweep: the command: no viable alternative at input '[1'",
        "+sweep=learning_rate,strategies": "sweep: the command: +sweep=learning_rate,strategies changes",
        "+sweep=mine": "sweep: BasicSweeper does not support sweep type : INTERVAL_SWEEP",
    }.items():
        output = tiny.run(f"{SWEEP} '{overrides}'", fails=True)
        assert sentence in output
        assert "conf/model/mine.yaml" in output
    assert tiny.ran() == []
    tiny.run("rm -rf .git && git init -q")
    assert "sweep: a sweep needs a git commit to start from" in tiny.run(f"{SWEEP} seed=1,2", fails=True)


@pytest.mark.fault(14, "a shallow clone, a path that is not ASCII")
def test_sweeps_that_dvc_would_not_record_are_refused_before_the_first_job(tiny, tmp_path_factory):
    tiny.run("git commit -q --allow-empty -m step")
    shallow = tmp_path_factory.mktemp("shallow")
    tiny.run(f"git clone -q --depth 1 file://{tiny.folder} {shallow}")
    clone = Project(shallow)
    assert "git fetch --unshallow" in clone.run(f"{SWEEP} seed=1,2", fails=True)
    assert "git fetch --unshallow" in clone.run("dvc exp run --temp -S seed=1", fails=True)
    assert clone.ran() == []

    umlauts = tmp_path_factory.mktemp("pr\u00fcfung")
    tiny.run(f"git clone -q {tiny.folder} {umlauts}")
    assert "outside of ASCII" in Project(umlauts).run(f"{SWEEP} seed=1,2", fails=True)
    assert Project(umlauts).ran() == []


def test_sweeps_of_the_same_second_have_folders_of_their_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folders = [create_sweep_folder() for _ in range(50)]
    assert len(set(folders)) == 50
    assert all(folder.is_dir() for folder in folders)
