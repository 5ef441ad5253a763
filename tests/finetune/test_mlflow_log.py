"""What a training logs about its data."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from mlflow import MlflowClient

from pipeline.core.paths import PREPARED_FOLDER
from pipeline.dataset.augmentation_records import AugmentationRecords
from pipeline.finetune.mlflow_log import PSEUDO_TAG, log_data
from pipeline.tracking.runs import open_run
from pipeline.tracking.target import TrackingTarget
from tests.builders import prepared_dataset
from tests.pseudo_label_folders import write_pseudo_labels


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
    assert PSEUDO_TAG not in client.get_run(session.run_id).data.tags


def test_pseudo_labelled_images_are_counted_by_themselves_and_tagged(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    manifest = prepared_dataset(PREPARED_FOLDER, images={"train": 5, "val": 1, "test": 1})
    items = [replace(item, pseudo=item.file.endswith(("1.png", "2.png"))) for item in manifest.items]
    prepared = replace(manifest, items=tuple(item for item in items if item.split == "train"))
    (PREPARED_FOLDER / "report.html").write_text("<html>")
    write_pseudo_labels(PREPARED_FOLDER, {})
    target = TrackingTarget("sqlite:///mlflow.db", "test", 20.0)
    with open_run(target, key="k", name="a run", tags={}) as session:
        log_data(session, prepared, AugmentationRecords(prepared.digest, ()), name="demo")
    run = MlflowClient(target.address).get_run(session.run_id)
    assert run.data.tags[PSEUDO_TAG] == "2 of 5 train images"
    profile = json.loads(run.inputs.dataset_inputs[0].dataset.profile)
    assert (profile["pseudo-labelled"]["images"], profile["train"]["images"]) == (2, 5)
    files = MlflowClient(target.address).list_artifacts(session.run_id, "prepared")
    assert "prepared/pseudo.json" in [file.path for file in files]
