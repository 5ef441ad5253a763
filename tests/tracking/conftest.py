"""Stores for the tests of tracking: a database that exists already, and a real server."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from pipeline.tracking.runs import send_missed
from pipeline.tracking.target import TrackingTarget
from tests.tracking.servers import MlflowServer


@pytest.fixture(scope="session")
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


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    """One server for all tests, since a start takes seconds; each test starts or kills it as needed."""
    server = MlflowServer(tmp_path_factory.mktemp("server"))
    yield server
    server.kill()


@pytest.fixture
def project(tmp_path, monkeypatch):
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    return folder
