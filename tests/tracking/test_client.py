"""A database whose creation was killed."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import time
from contextlib import closing, suppress

import pytest
from mlflow import MlflowClient

from tests.tracking.test_runs import ROOT

OPEN = """
from pipeline.tracking.runs import open_run
from pipeline.tracking.target import TrackingTarget
target = TrackingTarget("sqlite:///mlflow.db", "first")
with open_run(target, key="k", name="n", tags={}, resume=False):
    pass
"""


def start_opening(folder):
    return subprocess.Popen(
        [sys.executable, "-c", OPEN], cwd=folder, env={"PYTHONPATH": str(ROOT), "HOME": str(folder)}
    )


def count_tables(folder):
    """Count the tables and indexes of the new database, under its temporary or its final name."""
    for path in (*folder.glob("mlflow.db"), *folder.glob(".mlflow.db.new")):
        with suppress(sqlite3.Error), closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
            return database.execute(
                "SELECT count(*) FROM sqlite_master WHERE type IN ('table', 'index')"
            ).fetchone()[0]
    return 0


@pytest.mark.fault(7, "SIGKILL while the database is created")
def test_a_database_whose_creation_was_killed_is_created_again(tmp_path):
    first = start_opening(tmp_path)
    while first.poll() is None and count_tables(tmp_path) < 55:
        time.sleep(0.001)
    first.kill()  # in the middle of MLflow's migrations, which make about 100 tables and indexes
    first.wait()
    assert start_opening(tmp_path).wait(timeout=120) == 0
    client = MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}")
    assert client.get_experiment_by_name("first") is not None
