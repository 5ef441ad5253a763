"""Runs read from the database are those that MLflow's own client returns."""

import shutil
from pathlib import Path

import pytest

from pipeline.tracking.examination.database_runs import DatabaseRuns
from pipeline.tracking.examination.server import ServerRuns
from pipeline.tracking.store.tracked_runs import RunReader


@pytest.fixture
def written(target, client):
    """Four runs: one running, one failed, two finished trainings of which one has a model."""
    from mlflow.entities import LoggedModelOutput

    experiment = client.create_experiment(target.experiment, target.artifact_location)
    runs = {}
    for name, status in {"open": None, "failed": "FAILED", "bare": "FINISHED", "whole": "FINISHED"}.items():
        run = client.create_run(experiment, tags={"finetrack.stage.finetune": "finished"}, run_name=name)
        client.log_param(run.info.run_id, "finetune.lr0", "0.01")
        client.log_metric(run.info.run_id, "best/mAP50-95", 0.123456789012345, step=2)
        if name == "whole":
            model = client.create_logged_model(experiment, name="whole", source_run_id=run.info.run_id)
            client.log_outputs(run.info.run_id, [LoggedModelOutput(model.model_id, 0)])
            (target.database.parent / "local").mkdir()
            (target.database.parent / "local/MLmodel").write_text("flavors: {}\n")
            client.log_model_artifacts(model.model_id, str(target.database.parent / "local"))
            client.finalize_logged_model(model.model_id, "READY")
        if status:
            client.set_terminated(run.info.run_id, status)
        runs[name] = run.info.run_id
    client.set_tag(runs["bare"], "mlflow.parentRunId", runs["whole"])
    return runs


def test_runs_are_those_that_mlflow_returns(target, written):
    stored, reader = DatabaseRuns(target, target.database), RunReader(target)
    for run_id in written.values():
        ours, mlflows = stored.get_run(run_id), reader.get_run(run_id)
        assert (ours.params, ours.metrics, ours.status) == (mlflows.params, mlflows.metrics, mlflows.status)
        assert (ours.name, ours.started, ours.ended) == (mlflows.name, mlflows.started, mlflows.ended)
        assert mlflows.tags.items() <= ours.tags.items()
    assert stored.get_run("0" * 32) is None
    assert [run.run_id for run in stored.list_running()] == [written["open"]]
    assert [run.run_id for run in stored.list_children(written["whole"])] == [written["bare"]]


@pytest.mark.fault(12, "a finished run without its model")
def test_finished_trainings_without_a_model_are_listed(target, written):
    stored = DatabaseRuns(target, target.database)
    for runs in (stored, ServerRuns(target)):
        assert [(item.run_id, item.reason) for item in runs.list_without_model()] == [
            (written["bare"], "MLflow has none")
        ]
    shutil.rmtree(next(Path("mlruns").rglob("MLmodel")).parent)
    assert {item.run_id for item in stored.list_without_model()} == {written["bare"], written["whole"]}


def test_the_files_of_a_project_that_was_moved_are_found(target, written, tmp_path, monkeypatch):
    moved = tmp_path.with_name(f"{tmp_path.name}-moved")
    tmp_path.rename(moved)
    monkeypatch.chdir(moved)
    stored = DatabaseRuns(target, target.database)
    assert target.database.parent == moved
    assert [item.run_id for item in stored.list_without_model()] == [written["bare"]]
    moved.rename(tmp_path)
