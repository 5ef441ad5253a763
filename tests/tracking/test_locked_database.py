"""A database that another process has locked: stages go on, and the messages are sent later."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing, contextmanager

import pytest

from pipeline.core.errors import UserError
from pipeline.tracking.runs import EvaluationIdentity, attach_run, open_run, send_missed
from pipeline.tracking.store import database as database_module
from pipeline.tracking.target import TrackingTarget

ENOUGH_SECONDS = 12
"""Stages must not wait longer; MLflow alone would wait 20 seconds in each call."""


@pytest.fixture
def local(target, monkeypatch):
    monkeypatch.setattr(database_module, "LOCK_WAIT_SECONDS", 0.3)
    return TrackingTarget(target.uri, target.experiment, 2.0)


@contextmanager
def locked_database(target):
    with closing(sqlite3.connect(target.database)) as other:
        other.execute("BEGIN EXCLUSIVE")
        begin = time.monotonic()
        yield
        assert time.monotonic() - begin < ENOUGH_SECONDS


def list_runs(client):
    experiment = client.get_experiment_by_name("trial")
    return client.search_runs([experiment.experiment_id]) if experiment else []


@pytest.mark.fault(6, "another process has locked the database")
def test_a_training_and_its_evaluations_go_on_and_are_sent_later(local, client, tmp_path, capfd):
    (tmp_path / "note.txt").write_text("12345")
    with locked_database(local):
        with open_run(local, key="k1", name="demo", tags={}) as training:
            training.log_params({"lr0": 0.001})
            for epoch in range(3):
                training.log_metrics({"loss": epoch}, step=epoch)
            training.log_artifact(tmp_path / "note.txt")
            assert training.run_id is None
        said = capfd.readouterr().err
        assert "(another process has locked sqlite:///mlflow.db)" in said
        assert "move it away" not in said
    for key, value in (("e1", 0.5), ("e2", 0.6)):
        with (
            locked_database(local),
            attach_run(
                local, key="k1", run_id=None, evaluation=EvaluationIdentity(key, {"seed": 0}, {})
            ) as session,
        ):
            session.log_metrics({"test/mAP50": value})

    report = send_missed(local)
    assert (report.waiting, report.failures, report.missing) == (0, [], [])
    assert dict(report.sent) == {"runs": 3, "metrics": 5, "files": 1}
    second, first = list_runs(client)
    assert first.data.metrics == {"loss": 2, "test/mAP50": 0.5}
    assert first.data.params == {"lr0": "0.001", "seed": "0"}
    assert second.data.metrics == {"test/mAP50": 0.6}
    assert second.data.tags["mlflow.parentRunId"] == first.info.run_id
    assert {first.info.status, second.info.status} == {"FINISHED"}
    assert send_missed(local).sent.total() == 0


@pytest.mark.fault(6, "another process has locked the database")
def test_a_lock_in_the_middle_of_a_training_loses_nothing(local, client):
    with open_run(local, key="k1", name="demo", tags={}) as training:
        assert training.run_id
        with locked_database(local):
            for epoch in range(3):
                training.log_metrics({"loss": epoch}, step=epoch)
    [run] = list_runs(client)
    assert [point.value for point in client.get_metric_history(run.info.run_id, "loss")] == [0, 1, 2]
    assert run.info.status == "FINISHED"


@pytest.mark.fault(6, "another process has locked the database")
def test_send_says_that_the_database_is_locked(local):
    with locked_database(local):
        with open_run(local, key="k1", name="demo", tags={}):
            pass
        report = send_missed(local)
    assert (report.waiting, report.failures) == (1, ["another process has locked sqlite:///mlflow.db"])


@pytest.mark.fault(6, "a database of another program or version")
def test_a_database_that_cannot_be_used_costs_an_evaluation_nothing(local, tmp_path, capfd):
    """It is found when the predictions are made: a stage that adds to a run loads MLflow last."""
    (tmp_path / "mlflow.db").unlink()
    with closing(sqlite3.connect(local.database)) as other:
        other.execute("CREATE TABLE alembic_version (version_num)")
        other.execute("INSERT INTO alembic_version VALUES ('from the future')")
        other.commit()
    with attach_run(local, key="k1", run_id=None) as session:
        session.log_metrics({"test/mAP50": 0.5})
    assert "MLflow cannot use sqlite:///mlflow.db: Can't locate revision" in capfd.readouterr().err
    assert len([*(tmp_path / ".finetrack/outbox").iterdir()]) == 1
    with pytest.raises(UserError, match="cannot use"):
        open_run(local, key="k1", name="demo", tags={}).__enter__()
