"""What an evaluation logs: in the training's run or in one of its own, and what the model learns from it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
import yaml
from mlflow import MlflowClient
from mlflow.artifacts import download_artifacts
from ultralytics.nn.tasks import DetectionModel

from pipeline.config.groups.evaluate import EvaluateConfig
from pipeline.config.groups.finetune import FinetuneConfig
from pipeline.config.groups.tracking import TrackingConfig
from pipeline.config.schema import Config
from pipeline.core.paths import FINETUNED_FOLDER, PREPARED_FOLDER, TEST_METRICS_FILE
from pipeline.evaluate.mlflow_log import identify_evaluation
from pipeline.evaluate.stage import run_stage
from pipeline.storage.files import hash_file
from pipeline.tracking.runs import open_run
from pipeline.tracking.target import TrackingTarget
from tests.builders import prepared_dataset

TARGET = TrackingTarget("sqlite:///mlflow.db", "test", 10.0)


def build_config(*, seed=0, imgsz=64, **evaluate):
    fixed = {"register": False, "tile": None, "overlap": 0.2, "latency": 0, "forget": None}
    group = {"conf": 0.0, "iou": 0.7, "max_det": 20, "batch": 4, "bootstrap": 0, "worst": 0, "suspects": 0}
    return Config.model_construct(
        seed=seed,
        evaluate=EvaluateConfig(**{**fixed, **group, **evaluate}),
        finetune=FinetuneConfig.model_construct(imgsz=imgsz, device="cpu", threads=1),
        tracking=TrackingConfig(
            uri=TARGET.uri, experiment="test", timeout=10.0, run_name=None, tags={}, system_metrics=False
        ),
    )


def save_untrained_detector(path, names):
    """Save random weights; with `conf` 0 they detect objects in every image."""
    torch.manual_seed(0)
    model = DetectionModel("yolo26n.yaml", nc=len(names), verbose=False)
    model.names = dict(enumerate(names))
    torch.save({"model": model, "train_args": {"task": "detect", "imgsz": 64}}, path)
    return path


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A project with a training that has logged its model; the id of its run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("project"))
        patch.delenv("DVC_ROOT", raising=False)
        dataset = prepared_dataset(PREPARED_FOLDER)
        FINETUNED_FOLDER.mkdir(parents=True)
        weights = save_untrained_detector(FINETUNED_FOLDER / "best.pt", dataset.names)
        example = next((PREPARED_FOLDER / "images/val").iterdir())
        with open_run(TARGET, key="a" * 64, name="a run", tags={}) as session:
            session.log_params(build_config().model_dump(mode="json", include={"seed", "evaluate"}))
            session.log_model(weights, example=example, metrics={"best/mAP50": 0.5}, imgsz=64)
        sha256 = {"best": hash_file(weights)}
        facts = {"run_id": session.run_id, "key": "a" * 64, "names": list(dataset.names), "sha256": sha256}
        (FINETUNED_FOLDER / "run.json").write_text(json.dumps(facts))
        yield session.run_id


def evaluate(**settings):
    run_stage(build_config(**settings))
    return json.loads(TEST_METRICS_FILE.read_text())["test"]


def read_model_defaults(client, run_id, folder):
    [model] = client.search_logged_models(["1"], filter_string=f"source_run_id = '{run_id}'")
    shutil.rmtree(folder, ignore_errors=True)
    file = download_artifacts(
        f"{model.artifact_location}/MLmodel", dst_path=str(folder), tracking_uri=TARGET.address
    )
    params = json.loads(yaml.safe_load(Path(file).read_text())["signature"]["params"])
    return {param["name"]: param["default"] for param in params}


@pytest.mark.fault(12, "a training is evaluated again with other settings")
def test_an_evaluation_with_other_settings_has_a_run_of_its_own(project, tmp_path):
    client = MlflowClient(TARGET.address)
    first = evaluate()
    expected = {"conf": first["threshold"], "iou": 0.7, "max_det": 20, "imgsz": 64}
    assert read_model_defaults(client, project, tmp_path / "one") == expected
    second = evaluate(max_det=1)
    evaluate()
    evaluate(max_det=1)

    run = client.get_run(project)
    [child] = client.search_runs([run.info.experiment_id], f"tags.`mlflow.parentRunId` = '{project}'")
    for shown, metrics, most in ((run, first, "20"), (child, second, "1")):
        assert shown.data.metrics["test/threshold"] == metrics["threshold"]
        assert shown.data.metrics["test/mAP50"] == metrics["mAP50"]
        assert shown.data.params["evaluate.max_det"] == most
        assert json.loads(shown.data.tags["finetrack.predict"])["max_det"] == int(most)
        assert shown.info.status == "FINISHED"
        assert "evaluation" in {file.path for file in client.list_artifacts(shown.info.run_id)}
    assert read_model_defaults(client, project, tmp_path / "two") == expected
    [model] = client.search_logged_models([run.info.experiment_id])
    used = client.get_run(child.info.run_id).inputs.model_inputs
    assert [item.model_id for item in used] == [model.model_id]
    tested = {metric.key: metric.value for metric in model.metrics}
    assert (tested["test/mAP50"], tested["best/mAP50"]) == (first["mAP50"], 0.5)


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 1},
        {"imgsz": 96},
        {"bootstrap": 30},
        {"conf": 0.1},
        {"data": "other"},
        {"weights": "other"},
        {"columns": "other"},
    ],
    ids=str,
)
def test_everything_that_decides_the_result_is_in_the_key(change):
    def compute_key(*, data="d", weights="w", columns=None, **settings):
        config, further = build_config(**settings), {"columns": columns}
        return identify_evaluation(config, data=data, weights=weights, further=further).key

    assert compute_key() == compute_key()
    assert compute_key(**change) != compute_key()
