"""What an evaluation logs: in the training's run or in one of its own, and what the model learns from it."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml
from mlflow import MlflowClient
from mlflow.artifacts import download_artifacts
from ultralytics.nn.tasks import DetectionModel

from pipeline.config.groups.data import DataConfig
from pipeline.config.groups.evaluate import EvaluateConfig
from pipeline.config.groups.finetune import FinetuneConfig
from pipeline.config.groups.tracking import TrackingConfig
from pipeline.config.schema import Config
from pipeline.core.paths import FINETUNED_FOLDER, PREPARED_FOLDER, TEST_METRICS_FILE
from pipeline.dataset.manifest import list_learnt_images
from pipeline.dataset.prepared import read_manifest, write_manifest
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
        data=DataConfig.model_construct(source=None, format="shapes"),
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
        tags = {"finetrack.data.digest": dataset.digest}
        with open_run(TARGET, key="a" * 64, name="a run", tags=tags) as session:
            facts = {"source": "data/prepared", "classes": dataset.names, "splits": {}}
            session.log_dataset("shapes", dataset.digest, **facts)
            session.log_params(build_config().model_dump(mode="json", include={"seed"}))
            session.log_model(weights, example=example, metrics={"best/mAP50": 0.5}, imgsz=64)
        sha256 = {"best": hash_file(weights)}
        facts = {"run_id": session.run_id, "key": "a" * 64, "names": list(dataset.names), "sha256": sha256}
        facts |= {"data": dataset.digest, "images": list_learnt_images(dataset)}
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


def find_evaluation(client, training, manifest):
    condition = f"tags.`mlflow.parentRunId` = '{training}' AND tags.`finetrack.evaluate.data` = "
    [found] = client.search_runs(["1"], f"{condition}'{manifest.digest}'")
    return client.get_run(found.info.run_id)


def test_an_evaluation_on_other_data_names_it_and_the_test_images_that_were_trained_on(project, capsys):
    client = MlflowClient(TARGET.address)
    evaluate(max_det=3)
    assert "trained on" not in capsys.readouterr().out
    before = read_manifest(PREPARED_FOLDER)
    kept = Path("kept")
    shutil.move(PREPARED_FOLDER, kept)
    for images, seed, seen in (({"train": 6, "val": 3, "test": 3}, 1, None), (None, 0, 2)):
        shutil.rmtree(PREPARED_FOLDER, ignore_errors=True)
        if images:
            manifest = prepared_dataset(PREPARED_FOLDER, images=images, seed=seed)
        else:
            shutil.copytree(kept, PREPARED_FOLDER)
            manifest = exchange_images(before, 2)
        evaluate(max_det=3)
        assert "trained on other data" in capsys.readouterr().out
        run = find_evaluation(client, project, manifest)
        assert run.data.tags["finetrack.data.digest"] == before.digest
        assert run.data.tags.get("finetrack.evaluate.seen") == (seen and f"{seen} of 3 test images")
        [item] = run.inputs.dataset_inputs
        assert (item.dataset.digest, item.tags[0].value) == (manifest.digest[:12], "evaluation")
    shutil.rmtree(PREPARED_FOLDER)
    shutil.move(kept, PREPARED_FOLDER)


def exchange_images(manifest, count):
    """Exchange the contents of the first train images with those of the first test images."""
    items = {item.file: item for item in manifest.items}
    for one, other in zip(manifest.in_split("train")[:count], manifest.in_split("test"), strict=False):
        for folder, here, there in (
            ("images", one.file, other.file),
            ("labels", one.label_file, other.label_file),
        ):
            paths = [PREPARED_FOLDER / folder / name for name in (here, there)]
            first, second = (path.read_bytes() for path in paths)
            paths[0].write_bytes(second)
            paths[1].write_bytes(first)
        items[one.file] = replace(other, file=one.file)
        items[other.file] = replace(one, file=other.file)
    return write_manifest(PREPARED_FOLDER, replace(manifest, items=tuple(items.values())))


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
