"""Runs in a real MLflow database: opened, resumed, added to, closed after kills."""

import contextlib
import json
import math
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import textwrap
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.core.errors import UserError
from pipeline.tracking.runs import attach_run, open_parent_run, open_run, send_missed
from pipeline.tracking.sanitize import make_legal_name
from pipeline.tracking.store.database import check_database
from pipeline.tracking.store.run_tags import TRAINING_TAG
from pipeline.tracking.target import TrackingTarget

ROOT = Path(__file__).parents[2]
FAULT_TRIES = int(os.environ.get("FAULT_TRIES", "1"))
FIRST, SECOND = {TRAINING_TAG: "first"}, {TRAINING_TAG: "second"}
UNPRIVILEGED = pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")


def start_python(code, **environment):
    """Start Python with a script that has a target and the functions of `runs`."""
    head = """
        import os, sys, time
        from pipeline.tracking.runs import attach_run, open_run, open_parent_run, send_missed
        from pipeline.tracking.target import TrackingTarget
        target = TrackingTarget("sqlite:///mlflow.db", "trial", 20.0)
    """
    script = textwrap.dedent(head) + textwrap.dedent(code)
    environment = os.environ | {"PYTHONPATH": str(ROOT)} | environment
    return subprocess.Popen(
        [sys.executable, "-c", script],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for(process, code=0):
    out, err = process.communicate(timeout=300)
    assert process.returncode == code, err
    return out


def list_runs(client):
    experiment = client.get_experiment_by_name("trial")
    return client.search_runs([experiment.experiment_id], order_by=["attributes.start_time ASC"])


def read_curve(client, run_id, name):
    return [(point.step, point.value) for point in client.get_metric_history(run_id, name)]


def list_outboxes(folder):
    return list((folder / ".finetrack/outbox").iterdir())


@settings(deadline=None)  # the first call imports MLflow
@given(st.text(max_size=300))
def test_mlflow_accepts_every_legal_name(name):
    from mlflow.utils import validation

    validation._validate_metric_name(make_legal_name(name))
    validation._validate_param_name(make_legal_name(name))
    validation._validate_tag_name(make_legal_name(name))
    validation._validate_length_limit("name", validation.MAX_ENTITY_KEY_LENGTH, make_legal_name(name))


def test_a_run_has_all_that_was_logged(target, client, tmp_path):
    (tmp_path / "plots").mkdir()
    (tmp_path / "plots/curve.csv").write_text("a,b")
    with open_run(target, key="k1", name="demo full", tags={"finetrack.seed": 0}) as session:
        session.log_params({"finetune": {"lr0": 0.001}, "long": "x" * 7000})
        for epoch in range(3):
            session.log_metrics({"mAP50-95(B)": epoch / 10, "broken": math.nan, "none": None}, step=epoch)
        session.log_metrics({"best/mAP50-95": 0.2})
        session.set_description("**a run**")
        session.log_artifact(tmp_path / "plots")
        session.log_artifact(tmp_path / "plots/curve.csv", folder="a/b")
        session.log_table([{"job": 1, "mAP": 0.5}, {"job": 2}], "jobs.json")
        (tmp_path / "plots/curve.csv").write_text("changed later")
    run = client.get_run(session.run_id)
    assert (run.info.run_name, run.info.status) == ("demo full", "FINISHED")
    assert run.data.params["finetune.lr0"] == "0.001"
    assert len(run.data.params["long"]) == 6000
    assert read_curve(client, session.run_id, "mAP50-95_B") == [(0, 0.0), (1, 0.1), (2, 0.2)]
    assert not run.data.metrics.keys() & {"broken", "none"}
    assert run.data.metrics["best/mAP50-95"] == 0.2
    assert run.data.tags["finetrack.seed"] == "0"
    assert run.data.tags["mlflow.note.content"] == "**a run**"
    artifacts = tmp_path / "mlruns/trial" / session.run_id / "artifacts"
    assert (artifacts / "plots/curve.csv").read_text() == (artifacts / "a/b/curve.csv").read_text() == "a,b"
    assert json.loads((artifacts / "jobs.json").read_text()) == {
        "columns": ["job", "mAP"],
        "data": [[1, 0.5], [2, None]],
    }
    assert list_outboxes(tmp_path) == []


def test_the_dataset_is_an_input_of_the_run(target, client):
    splits = {"train": {"images": 3, "objects": {"pit": 5}}}
    run_id = None
    for _ in range(2):
        with attach_run(target, key="k1", run_id=run_id) as session:
            session.log_dataset("demo", "ab" * 32, source="data/prepared", classes=["pit"], splits=splits)
        run_id = session.run_id
    [run] = list_runs(client)
    [entry] = run.inputs.dataset_inputs
    assert (entry.dataset.name, entry.dataset.digest) == ("demo", "ab" * 6)
    assert json.loads(entry.dataset.profile) == splits


def test_all_working_directories_use_the_same_store(target, client, tmp_path, monkeypatch):
    with open_run(target, key="k1", name="here", tags={}):
        pass
    copy = tmp_path / ".dvc/tmp/exps/copy"
    copy.mkdir(parents=True)
    monkeypatch.chdir(copy)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    with open_run(target, key="k2", name="there", tags={}):
        pass
    assert [run.info.run_name for run in list_runs(client)] == ["here", "there"]
    assert list(copy.iterdir()) == []


def test_a_moved_project_keeps_its_artifacts(fresh, database, tmp_path, monkeypatch):
    from mlflow import MlflowClient

    old, new = tmp_path / "old place", tmp_path / "new place"
    old.mkdir()
    shutil.copy(database, old)
    monkeypatch.chdir(old)
    code = """
        with open_run(target, key="k1", name="before", tags={}) as before:
            before.log_text("1", "note.txt")
        print(before.run_id)
    """
    # In another process, since MLflow caches where the files of a run are.
    run_id = wait_for(start_python(code)).strip()
    monkeypatch.chdir(tmp_path)
    old.rename(new)
    monkeypatch.chdir(new)
    with attach_run(fresh, key="k1", run_id=run_id) as after:
        after.log_text("2", "more/note.txt")
    client = MlflowClient(fresh.address)
    assert [file.path for file in client.list_artifacts(run_id)] == ["more", "note.txt"]
    assert not old.exists()


@pytest.mark.fault(12, "run deleted in the UI")
def test_a_deleted_run_is_replaced_by_a_new_one(target, client):
    with open_run(target, key="k1", name="first", tags={}) as first:
        pass
    client.delete_run(first.run_id)
    with attach_run(target, key="k1", run_id=first.run_id) as second:
        second.log_metrics({"test/mAP50": 0.5})
    assert client.get_run(second.run_id).data.metrics == {"test/mAP50": 0.5}
    assert second.run_id != first.run_id


def test_a_second_stage_adds_to_the_run_and_keeps_its_duration(target, client):
    with open_run(target, key="k1", name="demo", tags={}) as training:
        training.log_params({"evaluate": {"conf": 0.1}})
    end = client.get_run(training.run_id).info.end_time
    for value in (0.5, 0.6):
        with attach_run(target, key="k1", run_id=training.run_id) as session:
            session.log_metrics({"test/mAP50": value})
            session.log_params({"evaluate": {"conf": value, "iou": 0.7}})
        assert session.run_id == training.run_id
    run = client.get_run(training.run_id)
    assert (run.info.status, run.info.end_time) == ("FINISHED", end)
    assert run.data.metrics["test/mAP50"] == 0.6
    assert run.data.params["evaluate.iou"] == "0.7"
    assert run.data.tags["evaluate.conf"] == "0.6"  # a parameter of MLflow never changes
    assert len(list_runs(client)) == 1


def test_a_failed_stage_that_succeeds_later_leaves_the_run_finished(target, client):
    with open_run(target, key="k1", name="demo", tags={}) as training:
        pass
    with pytest.raises(ZeroDivisionError), attach_run(target, key="k1", run_id=training.run_id):
        _ = 1 / 0
    run = client.get_run(training.run_id)
    assert run.info.status == "FAILED"
    assert run.data.tags["finetrack.stage.evaluate"] == "failed"
    assert run.data.tags["finetrack.reason"] == "ZeroDivisionError: division by zero"
    with attach_run(target, key="k1", run_id=training.run_id):
        assert client.get_run(training.run_id).info.status in {"FAILED", "RUNNING"}
    run = client.get_run(training.run_id)
    assert run.info.status == "FINISHED"
    assert "finetrack.reason" not in run.data.tags


def test_a_run_of_another_store_is_opened_here(target, client):
    with attach_run(target, key="k1", run_id="0" * 32) as session:
        session.log_metrics({"test/mAP50": 0.5})
    [run] = list_runs(client)
    assert (run.info.run_name, run.info.status, run.data.metrics) == (
        "evaluate-k1",
        "FINISHED",
        {"test/mAP50": 0.5},
    )


def test_a_resumed_run_continues_and_repeats_no_step(target, client):
    with (
        contextlib.suppress(KeyboardInterrupt),
        open_run(target, key="k1", name="demo", tags=FIRST) as first,
    ):
        for epoch in range(3):
            first.log_metrics({"loss": 1.0}, step=epoch)
        raise KeyboardInterrupt
    assert client.get_run(first.run_id).info.status == "KILLED"
    with open_run(target, key="k1", name="demo", tags=FIRST, resume=True) as second:
        for epoch in range(2, 5):
            second.log_metrics({"loss": 2.0}, step=epoch)
    assert second.run_id == first.run_id
    assert client.get_run(first.run_id).info.status == "FINISHED"
    assert read_curve(client, first.run_id, "loss") == [(0, 1.0), (1, 1.0), (2, 1.0), (3, 2.0), (4, 2.0)]
    with open_run(target, key="k1", name="demo", tags=FIRST, resume=True) as third:
        pass
    assert third.run_id == first.run_id  # as after a kill before the checkpoint was deleted
    with open_run(target, key="k1", name="demo", tags=SECOND) as again:
        pass
    assert again.run_id != first.run_id  # trained anew
    for tags, run_id in ((SECOND, again.run_id), (FIRST, first.run_id)):
        with open_run(target, key="k1", name="demo", tags=tags, resume=True) as last:
            pass
        assert last.run_id == run_id


def test_runs_are_nested_under_a_parent_run(target, client, monkeypatch):
    with open_parent_run(target, name="sweep", tags={}) as sweep:
        monkeypatch.setenv("FINETRACK_PARENT_RUN", str(sweep.run_id))
        monkeypatch.setenv("DVC_EXP_NAME", "tame-puma")
        with open_run(target, key="k1", name="job", tags={}) as job:
            job.log_metrics({"best/mAP50-95": 0.3})
        sweep.log_table([{"job": 1}], "jobs.json")
    run = client.get_run(job.run_id)
    assert run.data.tags["mlflow.parentRunId"] == sweep.run_id
    assert run.data.tags["finetrack.dvc.exp"] == "tame-puma"
    assert (run.info.run_name, run.info.status) == ("job", "FINISHED")
    assert run.data.metrics == {"best/mAP50-95": 0.3}


def test_system_metrics_are_logged(target, client):
    target = TrackingTarget(target.uri, target.experiment, target.timeout, system_metrics=True)
    with open_run(target, key="k1", name="demo", tags={}) as session:
        busy = time.monotonic() + 1.2
        while time.monotonic() < busy:
            pass
    metrics = client.get_run(session.run_id).data.metrics
    assert 0 < metrics["system/cpu_utilization_percentage"] <= 100
    assert metrics["system/system_memory_usage_megabytes"] > 0


@pytest.mark.fault(11, "the database is another file")
def test_a_file_that_is_not_a_database_is_refused(fresh, tmp_path):
    (tmp_path / "mlflow.db").write_text("no database" * 1000)
    with pytest.raises(UserError, match=r"cannot use sqlite:///mlflow.db: .*not a database"):
        open_run(fresh, key="k1", name="demo", tags={}).__enter__()


@pytest.mark.parametrize(
    ("uri", "reason"),
    [
        ("sqlite:///note.txt", "file is not a database"),
        ("sqlite:///note.txt/x.db", "File exists: '.*note.txt'"),
        ("sqlite:///folder", "unable to open database file"),
        ("sqlite:////proc/new/x.db", "No such file or directory"),
        pytest.param("sqlite:///shut/x.db", "Permission denied: '.*shut'", marks=UNPRIVILEGED),
        pytest.param("sqlite:///shut.db", "Permission denied: '.*shut.db'", marks=UNPRIVILEGED),
    ],
)
@pytest.mark.usefixtures("fresh")
def test_a_store_that_cannot_be_used_is_reported_before_the_work(tmp_path, uri, reason):
    (tmp_path / "note.txt").write_text("no database" * 10)
    (tmp_path / "shut.db").touch(0o444)
    (tmp_path / "folder").mkdir()
    (tmp_path / "shut").mkdir(0o555)
    with pytest.raises(UserError, match=rf"^MLflow cannot use {uri}: .*{reason}"):
        attach_run(TrackingTarget(uri, "trial"), key="k1", run_id=None).__enter__()


def test_a_busy_or_missing_database_is_accepted(fresh, tmp_path):
    check_database(fresh)
    assert list(tmp_path.iterdir()) == []
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as other:
        other.execute("CREATE TABLE runs (id)")
        other.execute("BEGIN EXCLUSIVE")
        check_database(fresh)


@pytest.mark.parametrize("uri", ["mlruns", "file:///tmp/x", "sqlite://", "postgresql://h/db", ""])
def test_a_uri_that_is_not_a_store_is_refused(uri):
    with pytest.raises(UserError, match="must be a database such as"):
        TrackingTarget(uri, "trial")


@pytest.mark.fault(15, "password in tracking.uri")
def test_a_password_in_the_uri_is_refused():
    with pytest.raises(UserError, match="MLFLOW_TRACKING_PASSWORD"):
        TrackingTarget("https://me:secret@mlflow.example.org", "trial")


@pytest.mark.parametrize(
    "number", [0, *(pytest.param(n, marks=pytest.mark.slow) for n in range(1, FAULT_TRIES))]
)
@pytest.mark.fault(7, "eight processes meet a fresh database")
def test_eight_processes_can_create_the_same_database(client, tmp_path, number):  # noqa: ARG001
    code = """
        with open_run(target, key=sys.argv[-1], name="job", tags={}) as session:
            for epoch in range(20):
                session.log_metrics({"loss": epoch}, step=epoch)
        print(session.run_id)
    """
    with ThreadPoolExecutor(8) as pool:
        ids = list(pool.map(lambda _: wait_for(start_python(code)).strip(), range(8)))
    assert len(set(ids)) == 8
    for run in list_runs(client):
        assert run.info.status == "FINISHED"
        assert len(read_curve(client, run.info.run_id, "loss")) == 20
    assert list_outboxes(tmp_path) == []


STOPPED = """
    from pipeline.tracking.store.run_tags import TRAINING_TAG
    import signal
    from pipeline.core.errors import raise_terminated
    signal.signal(signal.SIGTERM, raise_terminated)
    try:
        with open_run(target, key="k1", name="demo", tags={TRAINING_TAG: "first"}) as session:
            session.log_metrics({"loss": 1.0}, step=0)
            print(session.run_id, flush=True)
            time.sleep(100)
    except KeyboardInterrupt:
        sys.exit(3)
"""


@pytest.mark.usefixtures("target")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.fault(8, "SIGINT or SIGTERM of a stage")
def test_a_stopped_stage_leaves_the_run_killed(client, number):
    process = start_python(STOPPED)
    run_id = process.stdout.readline().strip()
    process.send_signal(number)
    wait_for(process, 3)
    assert client.get_run(run_id).info.status == "KILLED"


@pytest.fixture
def killed_run(target):  # noqa: ARG001 (the folder it is in)
    """The id of a run whose process was killed by SIGKILL in the middle."""
    process = start_python(STOPPED)
    run_id = process.stdout.readline().strip()
    process.kill()
    process.communicate()
    return run_id


@pytest.mark.fault(8, "SIGKILL of a stage, seen by the next command")
def test_the_run_of_a_killed_process_is_closed_by_the_next_command(target, client, killed_run):
    assert client.get_run(killed_run).info.status == "RUNNING"
    send_missed(target)
    run = client.get_run(killed_run)
    assert (run.info.status, run.data.tags["finetrack.stage.finetune"]) == ("KILLED", "killed")
    assert "ended unexpectedly" in run.data.tags["finetrack.reason"]
    assert run.info.end_time - run.info.start_time < 60_000
    assert "finetrack.process" not in run.data.tags


@pytest.mark.fault(8, "SIGKILL of a stage, its journal deleted")
def test_the_run_of_a_killed_process_is_closed_without_its_outbox(target, client, killed_run, tmp_path):
    for folder in list_outboxes(tmp_path):
        folder.rename(tmp_path / "lost")
    with open_run(target, key="k2", name="other", tags={}) as session:
        deadline = time.monotonic() + 30
        while client.get_run(killed_run).info.status == "RUNNING" and time.monotonic() < deadline:
            time.sleep(0.1)
    assert client.get_run(killed_run).info.status == "KILLED"
    assert client.get_run(session.run_id).info.status == "FINISHED"


@pytest.mark.fault(8, "SIGKILL of evaluate")
def test_a_stage_that_adds_loads_mlflow_with_its_first_message_and_its_kill_is_noticed(target, client):
    with open_run(target, key="k1", name="demo", tags={}) as training:
        pass
    code = """
        with attach_run(target, key="k1", run_id=os.environ["run_id"]):
            print("mlflow" in sys.modules, flush=True)
            os.kill(os.getpid(), 9)
    """
    assert wait_for(start_python(code, run_id=training.run_id), -signal.SIGKILL).strip() == "False"
    send_missed(target)
    run = client.get_run(training.run_id)
    assert (run.info.status, run.data.tags["finetrack.stage.evaluate"]) == ("KILLED", "killed")


@pytest.mark.fault(12, "SIGKILL of a stage, then resumed")
def test_the_run_of_a_killed_process_is_resumed(target, client, killed_run):
    with open_run(target, key="k1", name="demo", tags=FIRST, resume=True) as session:
        session.log_metrics({"loss": 9.0}, step=0)
        session.log_metrics({"loss": 2.0}, step=1)
    assert session.run_id == killed_run
    assert client.get_run(killed_run).info.status == "FINISHED"
    assert read_curve(client, killed_run, "loss") == [(0, 1.0), (1, 2.0)]


def test_a_run_of_a_live_process_is_not_closed(target, client):
    process = start_python(STOPPED)
    run_id = process.stdout.readline().strip()
    send_missed(target)
    assert client.get_run(run_id).info.status == "RUNNING"
    process.terminate()
    wait_for(process, 3)
