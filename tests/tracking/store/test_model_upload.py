"""The logged model: its defaults are those of the evaluation, in whichever order the two arrive."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from mlflow.artifacts import download_artifacts
from PIL import Image

from pipeline.tracking.runs import attach_run, open_run
from pipeline.tracking.store.run_tags import TRAINING_TAG

CHOSEN = {"conf": 0.4, "iou": 0.6, "max_det": 7, "imgsz": 96}


@pytest.fixture
def files(tmp_path):
    """Weights and an example in the working directory."""
    (tmp_path / "best.pt").write_bytes(b"in place of weights, which are not loaded here")
    Image.new("RGB", (32, 32)).save(tmp_path / "part.png")


def train(target, *, logs_model=True, resume=False):
    with open_run(target, key="k1", name="demo", tags={TRAINING_TAG: "t"}, resume=resume) as session:
        if logs_model:
            session.log_model(Path("best.pt"), example=Path("part.png"), metrics={}, imgsz=64)
    return session.run_id


def evaluate(target, run_id, **tiles):
    with attach_run(target, key="k1", run_id=run_id) as session:
        session.log_metrics({"test/mAP50": 0.5})
        session.set_model_defaults({**CHOSEN, **tiles})


def read_model(client, run_id, folder):
    """Return the defaults of the run's only model, and its results."""
    [model] = client.search_logged_models([client.get_run(run_id).info.experiment_id])
    file = download_artifacts(
        f"{model.artifact_location}/MLmodel", dst_path=str(folder), tracking_uri=client.tracking_uri
    )
    params = json.loads(yaml.safe_load(Path(file).read_text())["signature"]["params"])
    assert (
        json.dumps({param["name"]: param["default"] for param in params}) in model.tags["mlflow.note.content"]
    )
    results = {metric.key: metric.value for metric in model.metrics or []}
    return {param["name"]: param["default"] for param in params}, results


@pytest.mark.usefixtures("files")
def test_the_defaults_are_those_of_ultralytics_until_an_evaluation_has_chosen(target, client, tmp_path):
    run_id = train(target)
    ultralytics = {"conf": 0.25, "iou": 0.7, "max_det": 300, "imgsz": 64}
    assert read_model(client, run_id, tmp_path / "before") == (ultralytics, {})
    evaluate(target, run_id)
    assert read_model(client, run_id, tmp_path / "after") == (CHOSEN, {"test/mAP50": 0.5})


@pytest.mark.usefixtures("files")
@pytest.mark.fault(12, "the results of a training and of its evaluation arrive in another order")
@pytest.mark.parametrize("logged_before", [True, False])
def test_a_model_that_is_sent_after_its_evaluation_has_its_results_and_defaults(
    target, client, tmp_path, logged_before
):
    run_id = train(target, logs_model=logged_before)
    evaluate(target, run_id)
    assert train(target, resume=True) == run_id
    assert read_model(client, run_id, tmp_path / "after") == (CHOSEN, {"test/mAP50": 0.5})


@pytest.mark.usefixtures("files")
def test_the_tiles_are_those_of_the_last_evaluation(target, client, tmp_path):
    run_id, tiles = train(target), {"tile": 640, "overlap": 0.3}
    evaluate(target, run_id, **tiles)
    assert read_model(client, run_id, tmp_path / "tiled")[0] == {**CHOSEN, **tiles}
    evaluate(target, run_id)
    assert read_model(client, run_id, tmp_path / "whole")[0] == CHOSEN
