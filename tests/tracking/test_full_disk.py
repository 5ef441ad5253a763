"""A full disk: no run is FINISHED without its model, and what was lost is said."""

from __future__ import annotations

import pytest
from mlflow import MlflowClient

from pipeline.core.errors import UserError
from pipeline.tracking.runs import open_run, send_missed
from pipeline.tracking.target import TrackingTarget
from tests.disks import filled_disk, mount_small_disk
from tests.sources import write_picture

SPACE = 200_000
"""Bytes: enough for messages, not for the weights."""


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    with mount_small_disk(tmp_path_factory.mktemp("disk"), kilobytes=6000) as disk:
        (disk / "best.pt").write_bytes(bytes(1_000_000))
        write_picture(disk / "example.png")
        yield disk


@pytest.fixture
def target(project, monkeypatch):
    monkeypatch.chdir(project)
    monkeypatch.setenv("DVC_ROOT", str(project))
    return TrackingTarget("sqlite:///mlflow.db", "test", timeout=10.0)


def status(target, key):
    send_missed(target)
    client = MlflowClient(target.address)
    experiment = client.get_experiment_by_name("test")
    [run] = client.search_runs([experiment.experiment_id], f"tags.`finetrack.key` = '{key}'")
    return run.info.status


@pytest.mark.fault(8, "a full disk while the model is logged")
@pytest.mark.parametrize("logged", ["model", "weights"])
def test_run_without_its_model_or_weights_is_failed(project, target, logged):
    def log(session):
        if logged == "model":
            session.log_model(project / "best.pt", example=project / "example.png", metrics={})
        else:
            session.log_artifact(project / "best.pt")

    def train():
        with open_run(target, key=logged, name="a run", tags={}) as session:
            assert session.run_id
            with filled_disk(project, left=SPACE):
                log(session)

    with pytest.raises(UserError, match=r"the disk is full: .* MB left"):
        train()
    assert status(target, logged) == "FAILED"
