"""The address of the MLflow store in a project whose path holds characters that a URI cannot."""

from __future__ import annotations

import pytest
from mlflow import MlflowClient

from pipeline.tracking.store.client import MlflowClientCache
from pipeline.tracking.target import TrackingTarget


@pytest.mark.fault(3, "a project's folder with special characters")
@pytest.mark.parametrize("name", ["it's 100%20 a?b#c", "plain"])
def test_a_store_is_created_and_found_again_whatever_the_folder_is_called(tmp_path, monkeypatch, name):
    root = tmp_path / name
    root.mkdir()
    monkeypatch.chdir(root)
    monkeypatch.setenv("DVC_ROOT", str(root))
    target = TrackingTarget("sqlite:///mlflow.db", "of a?b")
    store = MlflowClientCache(target)
    run = store.client.create_run(store.experiment)
    store.client.log_text(run.info.run_id, "a text", "a.txt")
    assert [*root.glob("mlruns/*/*/artifacts/a.txt")] != []
    assert sorted(path.name for path in tmp_path.iterdir()) == [name]
    inner = root / "inner"
    inner.mkdir()
    monkeypatch.chdir(inner)  # as one of DVC's temporary copies is
    assert MlflowClient(target.address).get_run(run.info.run_id).info.status == "RUNNING"


@pytest.mark.fault(6, "a store that two folders share")
def test_a_store_of_another_folder_keeps_its_files_there(tmp_path, monkeypatch):
    """As one that was restored from the project uses the project's store."""
    project, other = tmp_path / "project", tmp_path / "other"
    uri, runs = "sqlite:///mlflow.db", []
    for folder in (project, other, project):
        folder.mkdir(exist_ok=True)
        monkeypatch.chdir(folder)
        store = MlflowClientCache(TrackingTarget(uri, "shared"))
        runs.append(store.client.create_run(store.experiment))
        store.client.log_text(runs[-1].info.run_id, "a text", "a.txt")
        uri = f"sqlite:///{project / 'mlflow.db'}"
    assert {run.info.artifact_uri.split("/mlruns")[0] for run in runs} == {project.as_uri()}
    found = [store.client.list_artifacts(run.info.run_id)[0].path for run in runs]
    assert found == ["a.txt"] * 3
    assert [*other.rglob("a.txt")] == []
