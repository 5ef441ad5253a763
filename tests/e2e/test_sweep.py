"""A sweep as a user types it: each job a DVC experiment, all runs under one parent."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time

import pytest
import yaml
from mlflow.entities import Run
from mlflow.tracking import MlflowClient

from pipeline.core.paths import PARAMS_FILE
from pipeline.sweep.experiments import find_experiment_commit, read_committed_file
from tests.e2e.conftest import Project

SWEEP = "python -m pipeline.sweep -m"


def parents(project) -> list[Run]:
    """Return the parent runs, the newest first."""
    client = MlflowClient(f"sqlite:///{project.folder}/mlflow.db")
    (experiment,) = (found for found in client.search_experiments() if found.name == "finetrack")
    return client.search_runs([experiment.experiment_id])


def rows(output: str) -> list[list[str]]:
    """Return the table's rows: job, score, status, experiment, time, what differs."""
    table = re.split(r"\njob +val.*", output)[-1].strip().partition("\n\n")[0]
    return [re.split(r"  +", line) for line in table.splitlines()]


def read_results(project) -> dict:
    """Return the results of the only sweep, as its folder has them."""
    (file,) = (project.folder / ".finetrack/sweeps").glob("*/results.json")
    return json.loads(file.read_text())


@pytest.fixture
def running(tiny):
    """Start a sweep whose job waits, and wait until it does."""
    sweep, stage = start_waiting_sweep(tiny)
    yield sweep, stage
    sweep.kill()
    sweep.wait()
    with contextlib.suppress(ProcessLookupError):
        os.killpg(os.getpgid(stage), signal.SIGKILL)


def start_waiting_sweep(tiny):
    """Start a sweep whose first job waits; return it and the process id of that job's stage."""
    waiting = tiny.folder / ".finetrack/waiting"
    waiting.unlink(missing_ok=True)
    sweep = subprocess.Popen(
        [sys.executable, "-m", "pipeline.sweep", "-m", "seed=99,1", "sweep.jobs=1"],
        cwd=tiny.folder,
        env=tiny.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 120
    while not waiting.exists() and sweep.poll() is None and time.monotonic() < deadline:
        time.sleep(0.2)
    time.sleep(0.1)  # until it is written
    return sweep, int(waiting.read_text())


def wait_for_end(pid: int) -> None:
    """Wait until a process has ended."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        time.sleep(0.1)
    pytest.fail(f"process {pid} still runs")


@pytest.mark.slow
def test_a_sweep_runs_each_combination_and_scores_the_best_on_test(tiny):  # noqa: PLR0915
    command = f"{SWEEP} finetune.lr0=0.01,0.02 data.seed=1"
    output = tiny.run(command)
    assert tiny.ran() == ["prepare", "finetune", "finetune"]  # prepared once: the second job restores it
    best, other = rows(output)
    assert [best[:3], other[:3]] == [["1", "0.2000", "trained"], ["0", "0.1000", "trained"]]
    assert "the best on test: test mAP50-95 0.2000" in output
    name = best[3].rpartition("-")[0]
    assert f"dvc exp apply {name}-best" in output
    assert set(tiny.status()) == {f"?? conf/experiment/{name}.yaml"}
    assert not (tiny.folder / "multirun").exists()
    assert not (tiny.folder / "outputs").exists()

    (parent,) = parents(tiny)
    assert (parent.info.status, parent.info.run_name) == ("FINISHED", f"sweep {name}")
    assert parent.data.metrics["best/mAP50-95"] == pytest.approx(0.2)
    assert parent.data.metrics["best/test/mAP50-95"] == pytest.approx(0.2)
    assert parent.data.tags["finetrack.best"] == f"{name}-best"

    shown = json.loads(tiny.run("dvc exp show --json"))
    measured = {
        row["name"]: sorted(
            file for file, found in row["revs"][0]["data"]["metrics"].items() if found.get("data")
        )
        for row in shown[-1]["experiments"]
    }
    assert measured[f"{name}-0"] == ["reports/training.json"]  # no test figures, of itself or of other models
    assert measured[f"{name}-best"] == ["reports/metrics.json", "reports/training.json"]
    check_the_same_command_again(tiny, command, parent)
    tiny.run(f"dvc exp apply {name}-best")
    run = tiny.folder / "models/finetuned/run.json"
    assert f'"parent": "{parent.info.run_id}"' in run.read_text()
    tiny.run("dvc repro")  # the new file of conf/experiment drops no applied value
    assert tiny.params()["finetune"]["lr0"] == 0.02
    assert tiny.ran() == []


def check_the_same_command_again(tiny, command: str, parent: Run) -> None:
    assert "nothing is left to train" in tiny.run(command)
    assert tiny.ran() == []
    assert [run.info.run_id for run in parents(tiny)] == [parent.info.run_id]


@pytest.mark.slow
def test_the_test_figure_is_that_of_the_present_evaluate(tiny):
    """The winner is scored again, and trained once."""
    tiny.run(f"{SWEEP} finetune.lr0=0.01,0.02")
    tiny.ran()
    assert "the best on test" in tiny.run(f"{SWEEP} finetune.lr0=0.01,0.02 evaluate.tile=320")
    assert tiny.ran() == []
    name = read_results(tiny)["sweep"]
    commit = find_experiment_commit(tiny.folder, f"{name}-best")
    content = read_committed_file(tiny.folder, commit, PARAMS_FILE)
    assert yaml.safe_load(content)["evaluate"]["tile"] == 320


@pytest.mark.slow
def test_a_sweep_over_folds_gives_mean_and_spread(tiny):
    tiny.edit("tiny.py", "{figure: lr0 * 10}", "{figure: lr0 * 10 + params['data']['fold'] / 10}")
    tiny.commit()
    tiny.run(f"{SWEEP} data.folds=2 'data.fold=range(0,2)' finetune.lr0=0.01,0.02")
    assert tiny.ran().count("finetune") == 4
    (best,) = read_results(tiny)["best"]
    assert best["mean"] == pytest.approx(0.25)
    assert best["std"] == pytest.approx(0.1 / 2**0.5)
    assert best["jobs"] == 2
    assert "data.fold" not in " ".join(best["overrides"])
    (parent,) = parents(tiny)
    assert parent.data.metrics["best/mAP50-95"] == pytest.approx(0.25)


@pytest.mark.slow
@pytest.mark.fault(14, "a job fails")
def test_a_failed_job_is_listed_the_rest_goes_on_and_again_runs_only_what_is_missing(tiny):
    command = f"{SWEEP} finetune.lr0=0.9,0.01"
    output = tiny.run(command, fails=True)
    assert tiny.ran().count("finetune") == 2
    good, exploded = rows(output)
    assert good[:3] == ["1", "0.1000", "trained"]
    assert exploded[:3] == ["0", "-", "failed"]
    assert "finetune.lr0 lets the loss explode" in output
    assert "1 of 2 jobs failed" in output
    assert parents(tiny)[0].info.status == "FAILED"

    output = tiny.run(command, fails=True)
    assert tiny.ran() == ["finetune"]
    assert [row["attempts"] for row in read_results(tiny)["jobs"]] == [2, 1]


@pytest.mark.slow
def test_a_sweep_takes_a_key_away_and_compares_jobs_of_one_task_alone(tiny):
    tiny.edit("conf/tracking/local.yaml", "tags: {}", "tags: {line: a}")
    tiny.commit()
    words = "finetune=head '~tracking.tags.line' data.task=classify,obb finetune.lr0=0.01"
    output = tiny.run(f"{SWEEP} {words}")
    first, second = rows(output)
    assert [first[1], second[1]] == ["classify top1 0.1000", "obb mAP50-95 0.1000"]
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


@pytest.mark.slow
@pytest.mark.fault(14, "SIGKILL of a sweep")
def test_a_sweep_that_was_killed_leaves_no_process_and_goes_on_with_the_same_command(tiny, running):
    sweep, stage = running
    sweep.send_signal(signal.SIGKILL)
    sweep.wait()
    wait_for_end(stage)
    (parent,) = parents(tiny)
    assert parent.info.status == "RUNNING"
    tiny.edit("tiny.py", "time.sleep(600)", "pass")  # no code of the pipeline: the same sweep
    tiny.run(f"{SWEEP} seed=99,1 sweep.jobs=1")
    assert [run.info.run_id for run in parents(tiny)] == [parent.info.run_id]
    assert parents(tiny)[0].info.status == "FINISHED"
    assert [row["status"] for row in read_results(tiny)["jobs"]] == ["trained", "trained"]


@pytest.mark.slow
@pytest.mark.fault(14, "SIGKILL of a sweep, twice")
def test_a_sweep_that_was_killed_twice_goes_on_with_the_same_command(tiny, running):
    sweep, stage = running
    for _ in range(2):
        sweep.send_signal(signal.SIGKILL)
        sweep.wait()
        wait_for_end(stage)
        sweep, stage = start_waiting_sweep(tiny)
    sweep.send_signal(signal.SIGKILL)
    sweep.wait()
    wait_for_end(stage)
    tiny.edit("tiny.py", "time.sleep(600)", "pass")
    tiny.run(f"{SWEEP} seed=99,1 sweep.jobs=1")
    assert [run.info.status for run in parents(tiny)] == ["FINISHED"]
    assert [row["status"] for row in read_results(tiny)["jobs"]] == ["trained", "trained"]
    assert "nothing is left to train" in tiny.run(f"{SWEEP} seed=99,1 sweep.jobs=1")


@pytest.mark.slow
@pytest.mark.fault(14, "SIGKILL of one job of a sweep")
def test_a_job_that_is_killed_fails_alone_and_is_run_again(tiny, running):
    sweep, stage = running
    os.kill(stage, signal.SIGKILL)
    assert sweep.wait(120) == 1
    killed, other = read_results(tiny)["jobs"]
    assert killed["status"] in {"failed", "killed"}
    assert other["status"] == "trained"
    assert parents(tiny)[0].info.status == "FAILED"
    tiny.edit("tiny.py", "time.sleep(600)", "pass")
    tiny.ran()
    tiny.run(f"{SWEEP} seed=99,1 sweep.jobs=1")
    assert tiny.ran().count("finetune") == 1
    assert [row["status"] for row in read_results(tiny)["jobs"]] == ["trained", "trained"]


@pytest.mark.fault(1, "an experiment in conf/ that names code for Hydra")
def test_a_sweep_of_an_experiment_that_names_code_is_refused_and_runs_none(tiny):
    target = {"_target_": "subprocess.Popen", "args": ["touch", "called"]}
    values = yaml.safe_dump({"hydra": {"callbacks": {"own": target}}})
    (tiny.folder / "conf/experiment/sent.yaml").write_text(f"# @package _global_\n{values}")
    output = tiny.run(f"{SWEEP} +experiment=sent seed=1,2", fails=True)
    assert "sweep: the command: hydra.callbacks.own._target_=subprocess.Popen would run code" in output
    assert not (tiny.folder / "called").exists()


@pytest.mark.slow
def test_mistakes_are_one_sentence_and_untracked_files_are_named(tiny):
    (tiny.folder / "conf/model/mine.yaml").write_text("{}")
    for overrides, sentence in {
        "finetun.lr0=1,2": "sweep: the command: finetun.lr0 is not a known key: did you mean finetune.lr0?",
        "data.on_leak=warn,error": "sweep: the command: no job of this sweep can run: data.on_leak='warn'",
        "finetune=ful,head": "sweep: the command: there is no finetune/ful: choose one of full, gradual",
        "finetune.lr0=0.01,abc": "sweep: the command: no job with finetune.lr0=abc can run: finetune.lr0",
        "finetune.lr0=[1": "sweep: the command: no viable alternative at input '[1'",
        "+sweep=learning_rate,strategies": "sweep: the command: +sweep=learning_rate,strategies",
        "sweep.trails=3": "sweep: the command: sweep.trails is no setting of a sweep",
        "sweep.trials=many": "sweep: sweep.trials='many'",
    }.items():
        output = tiny.run(f"{SWEEP} seed=1,2 '{overrides}'", fails=True)
        assert sentence in output
    assert "conf/model/mine.yaml" in tiny.run(f"{SWEEP} seed=1,2 data.on_leak=warn", fails=True)
    assert tiny.ran() == []
    tiny.run("rm -rf .git && git init -q")
    assert "sweep: a sweep needs a git commit to start from" in tiny.run(f"{SWEEP} seed=1,2", fails=True)


@pytest.mark.fault(14, "a shallow clone")
def test_sweeps_that_dvc_would_not_record_are_refused_before_the_first_job(tiny, tmp_path_factory):
    tiny.run("git commit -q --allow-empty -m step")
    shallow = tmp_path_factory.mktemp("shallow")
    tiny.run(f"git clone -q --depth 1 file://{tiny.folder} {shallow}")
    clone = Project(shallow)
    assert "git fetch --unshallow" in clone.run(f"{SWEEP} seed=1,2", fails=True)
    assert "git fetch --unshallow" in clone.run("dvc exp run --temp -S seed=1", fails=True)
    assert clone.ran() == []
