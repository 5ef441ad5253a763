"""`finetrack send`: what it sends, and what it says about what is left."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from pipeline.__main__ import main
from pipeline.compose.stage import load_config
from pipeline.tracking.runs import open_run
from pipeline.tracking.store import database as database_module
from pipeline.tracking.target import TrackingTarget

ROOT = Path(__file__).parents[2]


@pytest.fixture
def local(target, tmp_path, monkeypatch):
    """The store that params.yaml and conf/ name."""
    monkeypatch.setattr(database_module, "LOCK_WAIT_SECONDS", 0.3)
    shutil.copytree(ROOT / "conf", tmp_path / "conf")
    shutil.copy(ROOT / "params.yaml", tmp_path)
    return TrackingTarget(target.uri, load_config().tracking.experiment, 2.0)


@pytest.mark.fault(6, "another process has locked the database")
def test_send_names_what_waits_and_then_what_it_sent(local, capfd):
    with closing(sqlite3.connect(local.database)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with open_run(local, key="k1", name="demo", tags={}) as session:
            session.log_metrics({"loss": 1.0, "test": 2.0})
            session.log_text("1", "note.txt")
        capfd.readouterr()
        assert main(["send"]) == 1
        assert capfd.readouterr().err == (
            "send: 1 run waits in .finetrack/outbox for MLflow at sqlite:///mlflow.db: "
            "another process has locked sqlite:///mlflow.db\n"
        )
    assert main(["send"]) == 0
    assert (
        capfd.readouterr().out
        == "send: sent 2 metrics and 1 file of 1 run to MLflow at sqlite:///mlflow.db\n"
    )
    assert main(["send"]) == 0
    assert capfd.readouterr().out == "send: nothing waits to be sent\n"


def test_send_names_what_waits_for_another_store(local, capfd):
    elsewhere = TrackingTarget("http://127.0.0.1:9", local.experiment, 0.5)
    with open_run(elsewhere, key="k1", name="demo", tags={}) as session:
        session.log_metrics({"loss": 1.0})
    capfd.readouterr()
    assert main(["send"]) == 0
    said = capfd.readouterr().out
    assert "1 run waits for MLflow at http://127.0.0.1:9: set tracking.uri=http://127.0.0.1:9" in said
    assert "nothing waits" not in said


def test_send_takes_the_store_that_conf_names_now(local, capfd):
    elsewhere = TrackingTarget("http://127.0.0.1:9", local.experiment, 0.5)
    with open_run(elsewhere, key="k1", name="demo", tags={}) as session:
        session.log_metrics({"loss": 1.0})
    file = Path("conf/tracking/local.yaml")
    text = file.read_text().replace("timeout: 10.0", "timeout: 0.5")
    file.write_text(text.replace("uri: sqlite:///mlflow.db", f"uri: {elsewhere.uri}"))
    capfd.readouterr()
    assert main(["send"]) == 1
    assert f"1 run waits in .finetrack/outbox for MLflow at {elsewhere.uri}" in capfd.readouterr().err
