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
