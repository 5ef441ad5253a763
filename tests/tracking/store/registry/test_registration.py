"""Registration: a version per run, with the alias challenger; unusable runs are refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from mlflow import MlflowClient
from mlflow.artifacts import download_artifacts
from mlflow.entities import Metric
from PIL import Image

from pipeline.core.errors import UserError
from pipeline.tracking.runs import attach_run
from pipeline.tracking.store.client import MlflowClientCache
from pipeline.tracking.store.model_upload import TILES_TAG
from pipeline.tracking.store.registry.registration import RegisteredVersion, register_run
from pipeline.tracking.target import TrackingTarget
from tests.tracking.store.registry.conftest import CHOSEN, RESULT, TAGS, evaluate, finish, train


def test_a_run_becomes_a_version_with_its_origin_and_the_alias_challenger(target, store, client):
    run_id = finish(target)
    assert register_run(store, run_id, "parts") == RegisteredVersion("parts", "1", run_id, True)
    version = client.get_model_version_by_alias("parts", "challenger")
    assert (str(version.version), version.run_id, version.status) == ("1", run_id, "READY")
    assert TAGS.items() <= version.tags.items()
    assert json.loads(version.tags["finetrack.predict"]) == CHOSEN
    assert version.tags["test/mAP50-95"] == "0.50000"
    assert "mAP50-95 0.500 (0.400 to 0.600)" in version.description
    [model] = client.search_logged_models([client.get_run(run_id).info.experiment_id])
    assert version.source == f"models:/{model.model_id}"
    assert json.loads(model.tags["mlflow.modelVersions"]) == [{"name": "parts", "version": 1}]


def test_a_run_that_is_registered_again_keeps_its_version(target, store, client):
    first, second = finish(target), finish(target, "k2")
    register_run(store, first, "parts")
    assert register_run(store, second, "parts").version == "2"
    assert register_run(store, first, "parts") == RegisteredVersion("parts", "1", first, False)
    assert int(client.get_model_version_by_alias("parts", "challenger").version) == 1
    assert len(client.search_model_versions("name = 'parts'")) == 2


def test_a_champion_that_is_registered_again_does_not_become_the_challenger(target, store, client):
    run_id = finish(target)
    register_run(store, run_id, "parts")
    client.set_registered_model_alias("parts", "champion", "1")
    client.delete_registered_model_alias("parts", "challenger")
    assert register_run(store, run_id, "parts").alias == "champion"
    assert [*client.get_registered_model("parts").aliases] == ["champion"]


def test_a_version_gets_no_alias_where_it_is_not_to_be_the_challenger(target, store, client):
    found = register_run(store, finish(target), "parts", is_challenger=False)
    assert (found.version, found.alias) == ("1", None)
    assert client.get_registered_model("parts").aliases == {}


@pytest.mark.fault(13, "MLflow's server predicts on whole images with a model that was evaluated on tiles")
@pytest.mark.parametrize("is_old", [True, False])
def test_an_earlier_model_that_cannot_tile_says_so_where_it_was_evaluated_on_tiles(
    target, store, client, tmp_path, is_old
):
    run_id = train(target)
    [model] = client.search_logged_models([client.get_run(run_id).info.experiment_id])
    if is_old:
        forget_tile_code(client, model, tmp_path)
    with attach_run(target, key="k1", run_id=run_id) as session:
        session.log_metrics(RESULT)
        session.set_model_defaults({**CHOSEN, "tile": 640, "overlap": 0.2})
    found = register_run(store, run_id, "parts")
    version, note = client.get_model_version("parts", "1"), found.note
    if not is_old:
        assert (note, version.tags.get(TILES_TAG)) == ("", None)
        return
    assert "tiles of 640 pixels" in note
    assert (version.tags[TILES_TAG], note in version.description) == (note, True)
    assert note in client.get_logged_model(model.model_id).tags["mlflow.note.content"]


def forget_tile_code(client, model, folder):
    """Make a logged model one of an earlier version."""
    place = f"{model.artifact_location}/MLmodel"
    file = Path(download_artifacts(place, dst_path=str(folder), tracking_uri=client.tracking_uri))
    description = yaml.safe_load(file.read_text())
    del description["metadata"]["tiles"]
    file.write_text(yaml.safe_dump(description))
    client.log_model_artifact(model.model_id, str(file))


@pytest.mark.fault(8, "a run that failed, runs or has no number as its result is registered")
def test_a_run_that_has_no_usable_result_is_never_registered(target, store, client):
    run_id = train(target)
    with pytest.raises(UserError, match="has no result on test"):
        register_run(store, run_id, "parts")
    evaluate(target, run_id)
    for status in ("RUNNING", "FAILED", "KILLED"):
        client.update_run(run_id, status=status)
        with pytest.raises(UserError, match=f"is {status}"):
            register_run(store, run_id, "parts")
    client.update_run(run_id, status="FINISHED")
    client.log_batch(run_id, metrics=[Metric("test/mAP50", float("nan"), 1, 0)])
    with pytest.raises(UserError, match="test/mAP50=nan"):
        register_run(store, run_id, "parts")
    assert client.search_registered_models() == []


def test_a_run_without_a_model_is_refused(target, store):
    run_id = train(target, logs_model=False)
    evaluate(target, run_id)
    with pytest.raises(UserError, match="no complete model"):
        register_run(store, run_id, "parts")
    with pytest.raises(UserError, match="there is no MLflow run"):
        register_run(store, "0" * 32, "parts")


def test_the_run_of_a_further_evaluation_names_its_training(target, store, client):
    run_id = finish(target)
    experiment = client.get_run(run_id).info.experiment_id
    child = client.create_run(experiment, tags={"mlflow.parentRunId": run_id}).info.run_id
    with pytest.raises(UserError, match=run_id[:8]):
        register_run(store, child, "parts")


def evaluate_and_register(target, run_id, *, fails=False):
    with attach_run(target, key="k1", run_id=run_id) as session:
        session.log_metrics(RESULT)
        session.register_model_at_end("parts")
        if fails:
            raise KeyboardInterrupt


def test_an_evaluation_registers_its_model_when_it_has_finished(target, client, capsys):
    run_id = train(target)
    evaluate_and_register(target, run_id)
    version = client.get_model_version_by_alias("parts", "challenger")
    assert (version.run_id, client.get_run(run_id).info.status) == (run_id, "FINISHED")
    assert "parts/1" in capsys.readouterr().err


@pytest.mark.fault(8, "an evaluation that is to register its model is stopped")
def test_an_evaluation_that_was_stopped_registers_nothing(target, client):
    run_id = train(target)
    with pytest.raises(KeyboardInterrupt):
        evaluate_and_register(target, run_id, fails=True)
    assert client.search_registered_models() == []


def test_a_model_that_cannot_be_registered_costs_the_evaluation_nothing(target, client, capsys):
    run_id = train(target, logs_model=False)
    evaluate_and_register(target, run_id)
    assert client.get_run(run_id).info.status == "FINISHED"
    assert "not registered as parts: MLflow has no complete model" in capsys.readouterr().err


@pytest.mark.slow
def test_a_run_on_a_server_is_registered_and_its_model_can_be_loaded(server, project, monkeypatch):
    server.start()
    target = TrackingTarget(server.uri, "trial", 20.0)
    (project / "best.pt").write_bytes(b"weights")
    Image.new("RGB", (32, 32)).save(project / "part.png")
    run_id = finish(target, "served")
    registered = register_run(MlflowClientCache(target), run_id, "served parts")
    client = MlflowClient(server.uri)
    version = client.get_model_version_by_alias("served parts", "challenger")
    assert (str(version.version), version.run_id) == (registered.version, run_id)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.uri)
    place = download_artifacts("models:/served parts@challenger")
    assert (Path(place) / "artifacts/best.pt").read_bytes() == b"weights"
    description = yaml.safe_load((Path(place) / "MLmodel").read_text())
    params = {item["name"]: item["default"] for item in json.loads(description["signature"]["params"])}
    assert params == CHOSEN
