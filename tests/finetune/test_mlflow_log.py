"""What a training logs about its data."""

from __future__ import annotations

import pytest
from mlflow import MlflowClient

from pipeline.core.paths import PREPARED_FOLDER
from pipeline.dataset.augmentation_records import AugmentationRecords
from pipeline.finetune.mlflow_log import log_data
from pipeline.tracking.runs import open_run
from pipeline.tracking.target import TrackingTarget
from tests.builders import prepared_dataset


@pytest.mark.fault(10, "a folder without files, which DVC does not restore")
def test_folders_that_dvc_does_not_restore_are_not_missed(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    prepared = prepared_dataset(PREPARED_FOLDER)
    (PREPARED_FOLDER / "report.html").write_text("<html>")
    target = TrackingTarget("sqlite:///mlflow.db", "test", 20.0)
    with open_run(target, key="k", name="a run", tags={}) as session:
        log_data(session, prepared, AugmentationRecords(prepared.digest, ()), name="demo")
        session.log_artifact(tmp_path / "nothing")
    said = [line for line in capfd.readouterr().err.splitlines() if line.startswith("tracking: ")]
    assert [line for line in said if not line.startswith("tracking: sending")] == [
        f"tracking: there is no {tmp_path / 'nothing'}: it is not logged to MLflow"
    ]
    client = MlflowClient(target.address)
    assert [file.path for file in client.list_artifacts(session.run_id)] == ["prepared"]
