"""The parent run of a sweep: it goes on under its key, and a kill of everything leaves nothing RUNNING."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from pipeline.tracking.runs import attach_run, open_parent_run, open_run, send_missed
from pipeline.tracking.sender import OutboxSender
from pipeline.tracking.target import TrackingTarget

ROOT = Path(__file__).parents[2]
SWEEP = """
    import os, sys, time
    from pipeline.tracking.runs import open_parent_run, open_run
    from pipeline.tracking.target import TrackingTarget
    target = TrackingTarget("sqlite:///mlflow.db", "trial", 20.0)
    with open_parent_run(target, key="sweep 'a' in /home/o'neil", name="a", tags={}, resume=True) as sweep:
        sweep.log_metrics({"job/mAP50-95": 0.1}, step=0)
        os.environ["FINETRACK_PARENT_RUN"] = parent = sweep.run_id
        if os.fork() == 0:
            os.environ["MLFLOW_LOGGING_LEVEL"] = "CRITICAL"
            os.execv(sys.executable, [sys.executable, "-c", {job!r}])
        time.sleep(100)
"""
JOB = """
import os, time
from pipeline.tracking.runs import open_run
from pipeline.tracking.target import TrackingTarget
with open_run(TrackingTarget("sqlite:///mlflow.db", "trial", 20.0), key="k1", name="job", tags={}) as job:
    print(os.environ["FINETRACK_PARENT_RUN"], job.run_id, flush=True)
    time.sleep(100)
"""


@pytest.fixture(scope="session")
def killed_sweep(database, tmp_path_factory):
    """A folder in which a sweep and its job were killed by SIGKILL, and the ids of their runs."""
    folder = tmp_path_factory.mktemp("killed")
    shutil.copy(database, folder)
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(SWEEP).replace("{job!r}", repr(JOB))],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT), "DVC_ROOT": ""},
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    runs = process.stdout.readline().split()
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    return folder, runs


@pytest.fixture
def killed(killed_sweep, target, tmp_path):  # noqa: ARG001 (the folder it is in)
    """The ids of the runs of a sweep and of its job, all of whose processes were killed by SIGKILL."""
    folder, runs = killed_sweep
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    return runs


def read_statuses(client, runs):
    return [client.get_run(run).info.status for run in runs]


def wait_until_closed(client, runs):
    deadline = time.monotonic() + 30
    while "RUNNING" in read_statuses(client, runs) and time.monotonic() < deadline:
        time.sleep(0.05)
    return read_statuses(client, runs)


@pytest.mark.fault(8, "SIGKILL of a sweep and of its jobs, then the same sweep again")
def test_sweep_that_goes_on_has_its_run_again_and_closes_those_of_its_killed_jobs(target, client, killed):
    parent, job = killed
    assert read_statuses(client, killed) == ["RUNNING", "RUNNING"]
    with open_parent_run(
        target, key="sweep 'a' in /home/o'neil", name="b", tags={"x": 1}, resume=True
    ) as sweep:
        sweep.log_metrics({"job/mAP50-95": 0.9}, step=0)
        sweep.log_metrics({"job/mAP50-95": 0.2}, step=1)
        sweep.log_metrics({"best": 0.3})
        for text in ("first", "second, longer"):
            sweep.log_text(text, "best.yaml")
        assert sweep.run_id == parent
        assert wait_until_closed(client, [job]) == ["KILLED"]
        assert client.get_run(parent).info.status == "RUNNING"
    run = client.get_run(parent)
    assert (run.info.status, run.info.run_name, run.data.tags["x"]) == ("FINISHED", "a", "1")
    curve = client.get_metric_history(parent, "job/mAP50-95")
    assert [(point.step, point.value) for point in curve] == [(0, 0.1), (1, 0.2)]
    [file] = client.list_artifacts(parent)
    assert (file.path, file.file_size) == ("best.yaml", len("second, longer"))
    assert not {name for name in run.data.tags if name in {"finetrack.reason", "finetrack.process"}}


def run_next_command(command, target, killed):
    if command == "send":
        send_missed(target)
    elif command == "finetune":
        with open_run(target, key="k2", name="other", tags={}):
            pass
    elif command == "evaluate":
        with attach_run(target, key="k2", run_id=None) as session:
            session.log_metrics({"test/mAP50-95": 0.1})
    else:
        with open_parent_run(target, key="sweep-b", name="b", tags={}, resume=True) as sweep:
            assert sweep.run_id != killed[0]


@pytest.mark.fault(8, "SIGKILL of a sweep and of its jobs, then another command")
@pytest.mark.parametrize("command", ["send", "finetune", "evaluate", "other sweep"])
def test_next_command_closes_the_runs_of_a_killed_sweep(target, client, killed, command):
    for _ in range(5):  # each spends a few seconds on it: on a busy machine the next one goes on
        run_next_command(command, target, killed)
        if read_statuses(client, killed) == ["KILLED", "KILLED"]:
            break
    assert read_statuses(client, killed) == ["KILLED", "KILLED"]
    for run in killed:
        assert "ended unexpectedly" in client.get_run(run).data.tags["finetrack.reason"]


@pytest.mark.fault(8, "the runs of a sweep on another host")
def test_runs_of_another_machine_stay_open(target, client, killed, tmp_path):
    for run in killed:
        client.set_tag(run, "finetrack.process", "elsewhere:0:1:1")
    (tmp_path / ".finetrack/outbox").rename(tmp_path / "lost")  # its outbox is there, too
    send_missed(target)
    assert read_statuses(client, killed) == ["RUNNING", "RUNNING"]


def test_sweep_without_resume_has_a_run_of_its_own(target, client):
    runs = []
    for _ in range(2):
        with open_parent_run(target, key="sweep 'a' in /home/o'neil", name="a", tags={}) as sweep:
            runs.append(sweep.run_id)
    assert runs[0] != runs[1]
    with open_parent_run(target, key="sweep 'a' in /home/o'neil", name="a", tags={}, resume=True) as sweep:
        assert sweep.run_id == runs[1]
    assert read_statuses(client, runs) == ["FINISHED", "FINISHED"]
    with open_parent_run(
        TrackingTarget(target.uri, "new"), key="sweep 'a' in /home/o'neil", name="a", tags={}, resume=True
    ) as sweep:
        assert sweep.run_id not in runs


def test_end_that_comes_while_messages_of_others_are_sent_is_not_left_behind(target, client, monkeypatch):
    monkeypatch.setattr(OutboxSender, "_advance_missed", lambda _sender: time.sleep(0.3))
    with open_run(target, key="k1", name="job", tags={}) as session:
        assert session.run_id
        time.sleep(0.1)
    assert read_statuses(client, [session.run_id]) == ["FINISHED"]


def test_evaluation_without_the_run_of_its_training_is_named_by_what_differs_in_the_sweep(
    target, client, monkeypatch
):
    monkeypatch.setenv("FINETRACK_RUN_NAME", "lr0=0.001 augment=light")
    with attach_run(target, key="k1", run_id=None) as session:
        session.log_metrics({"test/mAP50-95": 0.1})
    assert client.get_run(session.run_id).info.run_name == "lr0=0.001 augment=light evaluate-k1"
