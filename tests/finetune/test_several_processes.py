"""A training in several processes as DVC runs it: one run, whichever of its processes dies."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time

import psutil
import pytest
import yaml
from hydra import compose, initialize_config_dir
from mlflow import MlflowClient
from omegaconf import OmegaConf

from pipeline.core.paths import PARAMS_FILE
from pipeline.finetune.outputs import OUTPUTS
from tests import trainings

EPOCHS = 5


def create_project(root, *overrides: str):
    """Write a dataset and params.yaml."""
    trainings.dataset(root)
    small = ["finetune=scratch", f"finetune.epochs={EPOCHS}", "finetune.imgsz=64", "finetune.batch=4"]
    off = ["finetune.warmup_epochs=0.0", "tracking.system_metrics=false", "finetune.threads=1"]
    with initialize_config_dir(str(trainings.CONF), version_base=None):
        composed = compose("config", overrides=[*small, *off, *overrides])
    (root / PARAMS_FILE).write_text(yaml.safe_dump(OmegaConf.to_container(composed, resolve=True)))
    return root


@pytest.fixture
def project(tmp_path):
    return create_project(tmp_path, "finetune.device=[cpu,cpu]")


class Stage:
    """The stage in a process of its own, and the processes that it starts."""

    def __init__(self, root, *command: str, **variables: str) -> None:
        self.root = root
        self.before = self.list_checkpoints()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "pipeline", *(command or ["finetune"])],
            cwd=root,
            env={**os.environ, "PYTHONPATH": str(trainings.CONF.parent), **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def list_checkpoints(self):
        return set((self.root / ".finetrack/checkpoints").glob("*/*.ckpt"))

    def wait_for_epoch(self):
        """Wait for a new checkpoint; return the processes of the training by their ranks."""
        while not self.list_checkpoints() - self.before:
            assert self.process.poll() is None, self.process.communicate()[0]
            time.sleep(0.05)
        started = psutil.Process(self.process.pid).children(recursive=True)
        return {int(rank): child for child in started if (rank := child.environ().get("RANK"))}

    def finish(self):
        """Return its exit code, and what it printed."""
        said, _ = self.process.communicate(timeout=300)
        return self.process.returncode, said


def read_runs(root):
    client = MlflowClient(f"sqlite:///{root / 'mlflow.db'}")
    runs = client.search_runs([client.get_experiment_by_name("finetrack").experiment_id])
    steps = [
        [point.step for point in client.get_metric_history(run.info.run_id, "metrics/mAP50-95")]
        for run in runs
    ]
    return runs, steps


def check_nothing_is_left(root, ranks):
    _, alive = psutil.wait_procs(list(ranks.values()), timeout=10)
    assert alive == []
    assert not [path for path in OUTPUTS if (root / path).exists()]


def stop_in_the_middle(root, stop, *, seconds=60):
    """Start the stage, do something to its processes after its first epoch, and wait for its end."""
    stage = Stage(root)
    ranks = stage.wait_for_epoch()
    assert sorted(ranks) == [0, 1]
    begin = time.monotonic()
    stop(stage, ranks)
    code, said = stage.finish()
    assert time.monotonic() - begin < seconds
    check_nothing_is_left(root, ranks)
    return code, said


@pytest.mark.slow
@pytest.mark.fault(8, "one of the processes of a training is killed, then trained again to the end")
def test_a_killed_process_fails_the_run_and_it_goes_on(project):
    code, said = stop_in_the_middle(project, lambda _, ranks: ranks[1].kill())
    assert code == 1
    assert "finetune: process 1 of the training (cpu) was killed by SIGKILL" in said
    assert "Traceback" not in said
    [run], _ = read_runs(project)
    assert run.info.status == "FAILED"
    assert "SIGKILL" in run.data.tags["finetrack.reason"]

    code, said = stop_in_the_middle(project, lambda _, ranks: ranks[0].kill())
    assert (code, "process 0 of the training (cpu) was killed by SIGKILL" in said) == (1, True), said
    code, said = Stage(project).finish()
    assert code == 0, said
    [run], [steps] = read_runs(project)
    assert (run.info.status, sorted(steps)) == ("FINISHED", list(range(1, EPOCHS + 1)))
    assert (run.data.params["effective.processes"], run.data.params["effective.batch"]) == ("2", "4")
    assert all((project / path).exists() for path in OUTPUTS)


@pytest.mark.slow
@pytest.mark.fault(8, "SIGTERM of a training in several processes, then SIGKILL of the one that watches")
def test_a_stopped_stage_leaves_no_process(project):
    code, said = stop_in_the_middle(project, lambda stage, _: stage.process.terminate(), seconds=20)
    assert code == 143, said
    assert read_runs(project)[0][0].info.status == "KILLED"
    code, _ = stop_in_the_middle(project, lambda stage, _: stage.process.kill(), seconds=20)
    assert code == -signal.SIGKILL
    code, said = Stage(project).finish()
    assert code == 0, said
    [run], [steps] = read_runs(project)
    assert (run.info.status, sorted(steps)) == ("FINISHED", list(range(1, EPOCHS + 1)))


@pytest.mark.slow
@pytest.mark.fault(8, "Ctrl-C of a training in several processes, which a terminal sends to all of them")
def test_ctrl_c_ends_all_processes_and_the_training_goes_on(project):
    code, said = stop_in_the_middle(
        project, lambda stage, _: os.killpg(stage.process.pid, signal.SIGINT), seconds=20
    )
    assert code == 130, said
    assert "Traceback" not in said
    assert read_runs(project)[0][0].info.status == "KILLED"
    code, said = Stage(project).finish()
    assert code == 0, said
    [run], [steps] = read_runs(project)
    assert (run.info.status, sorted(steps)) == ("FINISHED", list(range(1, EPOCHS + 1)))


@pytest.mark.slow
@pytest.mark.fault(8, "one of the processes of a training hangs")
def test_a_process_that_hangs_fails_the_run_within_a_minute(project):
    code, said = stop_in_the_middle(project, lambda _, ranks: ranks[1].suspend())
    assert code == 1
    assert "process 1 of the training (cpu) gave no sign of life for 4" in said
    [run], _ = read_runs(project)
    assert run.info.status == "FAILED"


@pytest.fixture
def machines(tmp_path):
    """Two projects that stand for two machines."""
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        create_project(tmp_path / name, "finetune.device=cpu", "finetune.nodes=2")
    return tmp_path / "first", tmp_path / "second"


def start_machines(first, second):
    """Start a training on two machines."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"127.0.0.1:{listener.getsockname()[1]}"
    network = {"GLOO_SOCKET_IFNAME": "lo"}
    return (
        Stage(first, FINETRACK_FIRST_MACHINE=address, **network),
        Stage(second, "join", address, **network),
    )


@pytest.mark.slow
@pytest.mark.fault(8, "one of the machines of a training is lost, then it is trained again to the end")
def test_two_machines_train_one_run_and_one_that_is_lost_ends_it(machines):
    first, second = start_machines(*machines)
    [rank] = first.wait_for_epoch().values()
    second.process.kill()
    begin = time.monotonic()
    code, said = first.finish()
    assert (code, time.monotonic() - begin < 60) == (1, True), said
    check_nothing_is_left(machines[0], {0: rank})
    assert read_runs(machines[0])[0][0].info.status == "FAILED"
    second.finish()

    first, second = start_machines(*machines)
    results = second.finish(), first.finish()
    assert [code for code, _ in results] == [0, 0], results
    [run], [steps] = read_runs(machines[0])
    assert (run.info.status, sorted(steps)) == ("FINISHED", list(range(1, EPOCHS + 1)))
    assert run.data.params["effective.processes"] == "2"
    assert not (machines[1] / "mlflow.db").exists()
    assert not [path for path in OUTPUTS if (machines[1] / path).exists()]


@pytest.mark.slow
def test_a_machine_that_would_train_something_else_is_refused(machines):
    params = machines[1] / PARAMS_FILE
    values = yaml.safe_load(params.read_text())
    values["finetune"]["lr0"] = 0.5
    params.write_text(yaml.safe_dump(values))
    first, second = start_machines(*machines)
    results = second.finish(), first.finish()
    assert [code for code, _ in results] == [1, 1], results
    assert "join: the first machine trains something else" in results[0][1]
    assert "machine 1: it trains something else" in results[1][1]
