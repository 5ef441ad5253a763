"""The address of the MLflow store in a project whose path holds characters that a URI cannot."""

from __future__ import annotations

import pytest
from mlflow import MlflowClient
from mlflow.entities import Param
from mlflow.exceptions import MlflowException

from pipeline.tracking.runs import open_run
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


OTHER = "https://anna:secret@mlflow.example.org"


@pytest.mark.fault(3, "MLflow's variables name another store, experiment or run than the configuration")
def test_a_run_says_which_variables_are_not_used_without_their_values(target, client, capsys, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", OTHER)
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "parts")
    with open_run(target, key="k1", name="demo", tags={}) as session:
        assert session.run_id is not None
    notices = [line for line in capsys.readouterr().err.splitlines() if "MLFLOW" in line]
    assert len(notices) == 1
    for word in ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME", target.uri, "trial"):
        assert word in notices[0]
    assert "secret" not in notices[0]
    assert client.get_run(session.run_id).info.status == "FINISHED"


@pytest.mark.parametrize(
    ("name", "value", "is_unused"),
    [
        ("MLFLOW_TRACKING_URI", "sqlite:///mlflow.db", False),
        ("MLFLOW_TRACKING_URI", "sqlite:///{folder}/mlflow.db", False),
        ("MLFLOW_TRACKING_URI", "sqlite:///other.db", True),
        ("MLFLOW_REGISTRY_URI", "sqlite:///mlflow.db", False),
        ("MLFLOW_REGISTRY_URI", OTHER, True),
        ("MLFLOW_EXPERIMENT_NAME", "trial", False),
        ("MLFLOW_EXPERIMENT_NAME", "", False),
        ("MLFLOW_EXPERIMENT_ID", "1", True),
        ("MLFLOW_RUN_ID", "a" * 32, True),
    ],
)
def test_a_variable_with_the_same_value_is_not_named(fresh, monkeypatch, name, value, is_unused):
    monkeypatch.setenv(name, value.format(folder=fresh.database.parent))
    assert fresh.list_unused_variables() == ((name,) if is_unused else ())


def test_the_address_of_the_same_server_may_end_in_a_slash(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://mlflow.example.org/")
    assert TrackingTarget("https://mlflow.example.org", "trial").list_unused_variables() == ()


@pytest.mark.fault(13, "MLFLOW_REGISTRY_URI names another registry than that of the runs")
def test_models_are_registered_where_the_runs_are(target, tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_REGISTRY_URI", f"sqlite:///{tmp_path}/registry.db")
    MlflowClientCache(target).client.create_registered_model("parts")
    monkeypatch.delenv("MLFLOW_REGISTRY_URI")
    assert [model.name for model in MlflowClient(target.address).search_registered_models()] == ["parts"]
    assert not (tmp_path / "registry.db").exists()


def test_on_databricks_mlflow_chooses_one_of_two_registries(monkeypatch):
    monkeypatch.setenv("MLFLOW_REGISTRY_URI", "databricks-uc")
    target = TrackingTarget("databricks", "/Shared/trial")
    assert target.registry_address is None
    assert target.list_unused_variables() == ()


@pytest.mark.fault(6, "MLflow is told to queue its calls, and refuses one of them later")
def test_a_call_that_mlflow_refuses_fails_at_once(target, monkeypatch):
    monkeypatch.setenv("MLFLOW_ENABLE_ASYNC_LOGGING", "true")
    store = MlflowClientCache(target)
    run_id = store.client.create_run(store.experiment).info.run_id
    store.client.log_param(run_id, "a", "1")
    assert store.client.get_run(run_id).data.params == {"a": "1"}
    with pytest.raises(MlflowException):
        store.client.log_batch(run_id, params=[Param("a", "2")])
