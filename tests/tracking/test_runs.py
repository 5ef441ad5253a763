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
from pipeline.tracking import runs as tracking_runs
from pipeline.tracking import sanitize
from pipeline.tracking.client import refuse_unusable
from pipeline.tracking.runs import open_run, send_missed
from pipeline.tracking.target import TrackingTarget

ROOT = Path(__file__).parents[2]
UNPRIVILEGED = pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    """A database with its tables made, to copy: making them takes seconds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("database"))
        patch.delenv("DVC_ROOT", raising=False)
        send_missed(TrackingTarget("sqlite:///mlflow.db", "other"))
        return Path.cwd() / "mlflow.db"


@pytest.fixture
def fresh(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    return TrackingTarget("sqlite:///mlflow.db", "trial", 20.0)


@pytest.fixture
def target(fresh, database, tmp_path):
    shutil.copy(database, tmp_path)
    return fresh


@pytest.fixture
def client(fresh):
    from mlflow import MlflowClient

    return MlflowClient(fresh.address)


def python(code, **environment):
    """Start Python on a script that has a target and the tracking package at hand."""
    head = """
        import os, sys, time
        from pipeline.tracking.runs import attach, open_run, parent, send_missed
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


def done(process, code=0):
    out, err = process.communicate(timeout=300)
    assert process.returncode == code, err
    return out


def runs(client):
    experiment = client.get_experiment_by_name("trial")
    return client.search_runs([experiment.experiment_id], order_by=["attributes.start_time ASC"])


def curve(client, run_id, name):
    return [(point.step, point.value) for point in client.get_metric_history(run_id, name)]


def outbox(folder):
    return list((folder / ".finetrack/outbox").iterdir())


@settings(deadline=None)  # the first call imports MLflow
@given(st.text(max_size=300))
def test_mlflow_takes_every_name_made_legal(name):
    from mlflow.utils import validation

    validation._validate_metric_name(sanitize.legal(name))
    validation._validate_param_name(sanitize.legal(name))
    validation._validate_tag_name(sanitize.legal(name))
    validation._validate_length_limit("name", validation.MAX_ENTITY_KEY_LENGTH, sanitize.legal(name))


def test_a_run_holds_what_was_said(target, client, tmp_path):
    (tmp_path / "plots").mkdir()
    (tmp_path / "plots/curve.csv").write_text("a,b")
    with open_run(target, key="k1", name="demo full", tags={"finetrack.seed": 0}) as session:
        session.params({"finetune": {"lr0": 0.001}, "long": "x" * 7000})
        for epoch in range(3):
            session.metrics({"mAP50-95(B)": epoch / 10, "broken": math.nan, "none": None}, step=epoch)
        session.metrics({"best/mAP50-95": 0.2})
        session.describe("**a run**")
        session.artifact(tmp_path / "plots")
        session.artifact(tmp_path / "plots/curve.csv", folder="a/b")
        session.table([{"job": 1, "mAP": 0.5}, {"job": 2}], "jobs.json")
        (tmp_path / "plots/curve.csv").write_text("changed later")
    run = client.get_run(session.run_id)
    assert (run.info.run_name, run.info.status) == ("demo full", "FINISHED")
    assert run.data.params["finetune.lr0"] == "0.001"
    assert len(run.data.params["long"]) == 6000
    assert curve(client, session.run_id, "mAP50-95_B") == [(0, 0.0), (1, 0.1), (2, 0.2)]
    assert math.isnan(run.data.metrics["broken"])
    assert run.data.metrics["best/mAP50-95"] == 0.2
    assert run.data.tags["finetrack.seed"] == "0"
    assert run.data.tags["mlflow.note.content"] == "**a run**"
    artifacts = tmp_path / "mlruns/trial" / session.run_id / "artifacts"
    assert (artifacts / "plots/curve.csv").read_text() == (artifacts / "a/b/curve.csv").read_text() == "a,b"
    assert json.loads((artifacts / "jobs.json").read_text()) == {
        "columns": ["job", "mAP"],
        "data": [[1, 0.5], [2, None]],
    }
    assert outbox(tmp_path) == []


def test_the_dataset_is_an_input(target, client):
    splits = {"train": {"images": 3, "objects": {"pit": 5}}}
    for _ in range(2):
        with tracking_runs.attach(target, key="k1", run_id=None) as session:
            session.dataset("demo", "ab" * 32, source="data/prepared", classes=["pit"], splits=splits)
    [run] = runs(client)
    [entry] = run.inputs.dataset_inputs
    assert (entry.dataset.name, entry.dataset.digest) == ("demo", "ab" * 6)
    assert json.loads(entry.dataset.profile) == splits


def test_the_same_store_from_every_folder(target, client, tmp_path, monkeypatch):
    with open_run(target, key="k1", name="here", tags={}):
        pass
    copy = tmp_path / ".dvc/tmp/exps/copy"
    copy.mkdir(parents=True)
    monkeypatch.chdir(copy)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    with open_run(target, key="k2", name="there", tags={}):
        pass
    assert [run.info.run_name for run in runs(client)] == ["here", "there"]
    assert list(copy.iterdir()) == []


def test_a_moved_project_keeps_its_files(fresh, database, tmp_path, monkeypatch):
    from mlflow import MlflowClient

    old, new = tmp_path / "old place", tmp_path / "new place"
    old.mkdir()
    shutil.copy(database, old)
    monkeypatch.chdir(old)
    code = """
        with open_run(target, key="k1", name="before", tags={}) as before:
            before.text("1", "note.txt")
        print(before.run_id)
    """
    run_id = done(python(code)).strip()  # in a process of its own, since MLflow remembers a run's place
    monkeypatch.chdir(tmp_path)
    old.rename(new)
    monkeypatch.chdir(new)
    with tracking_runs.attach(fresh, key="k1", run_id=run_id) as after:
        after.text("2", "more/note.txt")
    client = MlflowClient(fresh.address)
    assert [file.path for file in client.list_artifacts(run_id)] == ["more", "note.txt"]
    assert not old.exists()


def test_a_deleted_run_is_not_added_to(target, client):
    with open_run(target, key="k1", name="first", tags={}) as first:
        pass
    client.delete_run(first.run_id)
    with tracking_runs.attach(target, key="k1", run_id=first.run_id) as second:
        second.metrics({"test/mAP50": 0.5})
    assert client.get_run(second.run_id).data.metrics == {"test/mAP50": 0.5}
    assert second.run_id != first.run_id


def test_a_second_stage_adds_to_the_run_and_keeps_its_duration(target, client):
    with open_run(target, key="k1", name="demo", tags={}) as training:
        training.params({"evaluate": {"conf": 0.1}})
    end = client.get_run(training.run_id).info.end_time
    for value in (0.5, 0.6):
        with tracking_runs.attach(target, key="k1", run_id=training.run_id) as session:
            session.metrics({"test/mAP50": value})
            session.params({"evaluate": {"conf": value, "iou": 0.7}})
        assert session.run_id == training.run_id
    run = client.get_run(training.run_id)
    assert (run.info.status, run.info.end_time) == ("FINISHED", end)
    assert run.data.metrics["test/mAP50"] == 0.6
    assert run.data.params["evaluate.iou"] == "0.7"
    assert run.data.tags["evaluate.conf"] == "0.6"  # a parameter of MLflow never changes
    assert len(runs(client)) == 1


def test_a_stage_that_failed_is_mended_by_its_next_success(target, client):
    with open_run(target, key="k1", name="demo", tags={}) as training:
        pass
    with pytest.raises(ZeroDivisionError), tracking_runs.attach(target, key="k1", run_id=training.run_id):
        _ = 1 / 0
    run = client.get_run(training.run_id)
    assert run.info.status == "FAILED"
    assert run.data.tags["finetrack.stage.evaluate"] == "failed"
    assert run.data.tags["finetrack.reason"] == "ZeroDivisionError: division by zero"
    with tracking_runs.attach(target, key="k1", run_id=None):
        assert client.get_run(training.run_id).info.status in {"FAILED", "RUNNING"}
    run = client.get_run(training.run_id)
    assert run.info.status == "FINISHED"
    assert "finetrack.reason" not in run.data.tags


def test_a_run_made_elsewhere_is_opened_here(target, client):
    with tracking_runs.attach(target, key="k1", run_id="0" * 32, name="pulled") as session:
        session.metrics({"test/mAP50": 0.5})
    [run] = runs(client)
    assert (run.info.run_name, run.info.status, run.data.metrics) == (
        "pulled",
        "FINISHED",
        {"test/mAP50": 0.5},
    )


def test_a_resumed_run_goes_on_and_repeats_no_step(target, client):
    with (
        contextlib.suppress(KeyboardInterrupt),
        open_run(target, key="k1", name="demo", tags={}) as first,
    ):
        for epoch in range(3):
            first.metrics({"loss": 1.0}, step=epoch)
        raise KeyboardInterrupt
    assert client.get_run(first.run_id).info.status == "KILLED"
    with open_run(target, key="k1", name="demo", tags={}, resume=True) as second:
        for epoch in range(2, 5):
            second.metrics({"loss": 2.0}, step=epoch)
    assert second.run_id == first.run_id
    assert client.get_run(first.run_id).info.status == "FINISHED"
    assert curve(client, first.run_id, "loss") == [(0, 1.0), (1, 1.0), (2, 1.0), (3, 2.0), (4, 2.0)]
    with open_run(target, key="k1", name="demo", tags={}, resume=True) as third:
        pass
    assert third.run_id == first.run_id  # killed before its checkpoint was let go of
    with open_run(target, key="k1", name="demo", tags={}) as again:
        pass
    assert again.run_id != first.run_id  # trained anew
    with open_run(target, key="k1", name="demo", tags={}, resume=True) as last:
        pass
    assert last.run_id == again.run_id


def test_runs_hang_under_a_parent(target, client, monkeypatch):
    with tracking_runs.parent(target, name="sweep", tags={}) as sweep:
        monkeypatch.setenv("FINETRACK_PARENT_RUN", str(sweep.run_id))
        monkeypatch.setenv("DVC_EXP_NAME", "tame-puma")
        with open_run(target, key="k1", name="job", tags={}) as job:
            job.metrics({"best/mAP50-95": 0.3})
        sweep.table([{"job": 1}], "jobs.json")
    run = client.get_run(job.run_id)
    assert run.data.tags["mlflow.parentRunId"] == sweep.run_id
    assert run.data.tags["finetrack.dvc.exp"] == "tame-puma"
    assert (run.info.run_name, run.info.status) == ("job", "FINISHED")
    assert run.data.metrics == {"best/mAP50-95": 0.3}


def test_the_load_of_the_machine_is_logged(target, client):
    target = TrackingTarget(target.uri, target.experiment, target.timeout, system_metrics=True)
    with open_run(target, key="k1", name="demo", tags={}) as session:
        busy = time.monotonic() + 1.2
        while time.monotonic() < busy:
            pass
    metrics = client.get_run(session.run_id).data.metrics
    assert 0 < metrics["system/cpu_utilization_percentage"] <= 100
    assert metrics["system/system_memory_usage_megabytes"] > 0


def test_a_file_that_is_no_database_is_refused(fresh, tmp_path):
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
def test_a_store_that_cannot_be_used_is_told_before_the_work_that_it_is_for(tmp_path, uri, reason):
    (tmp_path / "note.txt").write_text("no database" * 10)
    (tmp_path / "shut.db").touch(0o444)
    (tmp_path / "folder").mkdir()
    (tmp_path / "shut").mkdir(0o555)
    with pytest.raises(UserError, match=rf"^MLflow cannot use {uri}: .*{reason}"):
        tracking_runs.attach(TrackingTarget(uri, "trial"), key="k1", run_id=None).__enter__()


def test_a_store_that_is_busy_or_not_there_yet_can_be_used(fresh, tmp_path):
    refuse_unusable(fresh)
    assert list(tmp_path.iterdir()) == []
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as other:
        other.execute("CREATE TABLE runs (id)")
        other.execute("BEGIN EXCLUSIVE")
        refuse_unusable(fresh)


@pytest.mark.parametrize("uri", ["mlruns", "file:///tmp/x", "sqlite://", "postgresql://h/db", ""])
def test_a_uri_that_is_no_store_is_refused(uri):
    with pytest.raises(UserError, match="must be a database such as"):
        TrackingTarget(uri, "trial")


def test_a_password_in_the_uri_is_refused():
    with pytest.raises(UserError, match="MLFLOW_TRACKING_PASSWORD"):
        TrackingTarget("https://me:secret@mlflow.example.org", "trial")


def test_eight_processes_meet_a_fresh_database(client, tmp_path):
    code = """
        with open_run(target, key=sys.argv[-1], name="job", tags={}) as session:
            for epoch in range(20):
                session.metrics({"loss": epoch}, step=epoch)
        print(session.run_id)
    """
    with ThreadPoolExecutor() as pool:
        ids = list(pool.map(lambda _: done(python(code)).strip(), range(8)))
    assert len(set(ids)) == 8
    for run in runs(client):
        assert run.info.status == "FINISHED"
        assert len(curve(client, run.info.run_id, "loss")) == 20
    assert outbox(tmp_path) == []


STOPPED = """
    import signal
    from pipeline.__main__ import _terminate
    signal.signal(signal.SIGTERM, _terminate)
    try:
        with open_run(target, key="k1", name="demo", tags={}) as session:
            session.metrics({"loss": 1.0}, step=0)
            print(session.run_id, flush=True)
            time.sleep(100)
    except KeyboardInterrupt:
        sys.exit(3)
"""


@pytest.mark.usefixtures("target")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stopped_stage_leaves_the_run_killed(client, number):
    process = python(STOPPED)
    run_id = process.stdout.readline().strip()
    process.send_signal(number)
    done(process, 3)
    assert client.get_run(run_id).info.status == "KILLED"


@pytest.fixture
def murdered(target):  # noqa: ARG001 (the folder it is in)
    """The id of a run whose process was killed by SIGKILL in the middle."""
    process = python(STOPPED)
    run_id = process.stdout.readline().strip()
    process.kill()
    process.communicate()
    return run_id


def test_a_murdered_run_is_closed_by_the_next_command(target, client, murdered):
    assert client.get_run(murdered).info.status == "RUNNING"
    send_missed(target)
    run = client.get_run(murdered)
    assert (run.info.status, run.data.tags["finetrack.stage.finetune"]) == ("KILLED", "killed")
    assert "without a word" in run.data.tags["finetrack.reason"]
    assert run.info.end_time - run.info.start_time < 60_000
    assert "finetrack.process" not in run.data.tags


def test_a_murdered_run_is_closed_though_its_outbox_is_gone(target, client, murdered, tmp_path):
    for folder in outbox(tmp_path):
        folder.rename(tmp_path / "lost")
    with open_run(target, key="k2", name="other", tags={}) as session:
        deadline = time.monotonic() + 30
        while client.get_run(murdered).info.status == "RUNNING" and time.monotonic() < deadline:
            time.sleep(0.1)
    assert client.get_run(murdered).info.status == "KILLED"
    assert client.get_run(session.run_id).info.status == "FINISHED"


def test_a_stage_that_adds_loads_mlflow_by_its_first_word_and_is_missed_without_one(target, client):
    with open_run(target, key="k1", name="demo", tags={}) as training:
        pass
    code = """
        with attach(target, key="k1", run_id=os.environ["run_id"]):
            print("mlflow" in sys.modules, flush=True)
            os.kill(os.getpid(), 9)
    """
    assert done(python(code, run_id=training.run_id), -signal.SIGKILL).strip() == "False"
    send_missed(target)
    run = client.get_run(training.run_id)
    assert (run.info.status, run.data.tags["finetrack.stage.evaluate"]) == ("KILLED", "killed")


def test_a_murdered_run_is_taken_up(target, client, murdered):
    with open_run(target, key="k1", name="demo", tags={}, resume=True) as session:
        session.metrics({"loss": 9.0}, step=0)
        session.metrics({"loss": 2.0}, step=1)
    assert session.run_id == murdered
    assert client.get_run(murdered).info.status == "FINISHED"
    assert curve(client, murdered, "loss") == [(0, 1.0), (1, 2.0)]


def test_a_living_run_is_left_alone(target, client):
    process = python(STOPPED)
    run_id = process.stdout.readline().strip()
    send_missed(target)
    assert client.get_run(run_id).info.status == "RUNNING"
    process.terminate()
    done(process, 3)
