"""The stage keeps its predictions, and logs sizes, recall, calibration, slices and latency."""

import io
import json
import shutil
from contextlib import redirect_stdout
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from mlflow import MlflowClient
from mlflow.entities import RunData
from ultralytics.nn.tasks import ClassificationModel, DetectionModel

from pipeline.config.groups.data import DataConfig
from pipeline.config.groups.evaluate import EvaluateConfig
from pipeline.config.groups.finetune import FinetuneConfig
from pipeline.config.groups.tracking import TrackingConfig
from pipeline.config.schema import Config
from pipeline.core.paths import EVALUATION_FOLDER, FINETUNED_FOLDER, PREPARED_FOLDER
from pipeline.dataset.coco_results import read_stored_predictions
from pipeline.dataset.image_columns import COLUMNS_FOLDER, ImageColumns, write_image_columns
from pipeline.evaluate.metrics.bootstrap import number_groups
from pipeline.evaluate.metrics.classification import (
    ClassScores,
    collect_classification_metrics,
    evaluate_classification,
    select_top_classes,
)
from pipeline.evaluate.stage import run_stage
from pipeline.storage.files import hash_file
from pipeline.tracking.runs import open_run
from pipeline.tracking.target import TrackingTarget
from tests import task_sets
from tests.builders import prepared_dataset

TARGET = TrackingTarget("sqlite:///mlflow.db", "test", 10.0)
IMAGES = {"train": 1, "val": 4, "test": 22}


@pytest.fixture(autouse=True)
def _project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_ROOT", raising=False)


def save_model(task, names):
    """Write random weights, and the run of their training, as finetune does."""
    torch.manual_seed(0)
    kind, architecture = (
        (ClassificationModel, "yolo26n-cls.yaml") if task == "classify" else (DetectionModel, "yolo26n.yaml")
    )
    model = kind(architecture, nc=len(names), verbose=False)
    model.names = dict(enumerate(names))
    FINETUNED_FOLDER.mkdir(parents=True)
    torch.save({"model": model, "train_args": {"task": task}}, FINETUNED_FOLDER / "best.pt")
    with open_run(TARGET, key="a" * 64, name="a run", tags={}) as session:
        run_id = session.run_id
    sha256 = {"best": hash_file(FINETUNED_FOLDER / "best.pt")}
    facts = {"run_id": run_id, "key": "a" * 64, "names": list(names), "sha256": sha256, "task": task}
    (FINETUNED_FOLDER / "run.json").write_text(json.dumps(facts))
    return run_id


def evaluate(**changes):
    how = {"conf": 0.0, "iou": 0.7, "max_det": 20, "batch": 8, "bootstrap": 20, "worst": 0, "suspects": 0}
    how |= {"register": False, "tile": None, "overlap": 0.2, "latency": 0, "forget": None}
    run_stage(
        Config.model_construct(
            seed=0,
            data=DataConfig.model_construct(source=None, format="shapes"),
            evaluate=EvaluateConfig(**how | changes),
            finetune=FinetuneConfig.model_construct(imgsz=64, device="cpu", threads=1),
            tracking=TrackingConfig(
                uri=TARGET.uri, experiment="test", timeout=10.0, run_name=None, tags={}, system_metrics=False
            ),
        )
    )
    return json.loads(Path("reports/metrics.json").read_text())


def compute_again(folder):
    """Compute the metrics of classify from the files with predictions alone."""
    test = read_stored_predictions(folder, "test")
    truth = np.array([image.cls for image in test.images])
    scores = ClassScores(truth, *select_top_classes(test.probabilities))
    groups = number_groups([image.group for image in test.images])
    return collect_classification_metrics(
        evaluate_classification(scores, test.names, groups, resamples=20, seed=0)
    )


def test_files_with_probabilities_give_the_metrics_of_the_stage(evaluated, tmp_path):
    shutil.copy(evaluated.folder / "mlflow.db", tmp_path)  # faster than a new database
    manifest = task_sets.prepared(PREPARED_FOLDER, "classify", images=IMAGES)
    run_id = save_model("classify", manifest.names)
    metrics = evaluate()
    again = compute_again(EVALUATION_FOLDER / "predictions")
    assert {name: metrics["test"][name] for name in again["test"]} == again["test"]
    assert metrics["per_class"] == again["per_class"]
    assert 0 <= metrics["test"]["ECE"] < 1
    assert not (EVALUATION_FOLDER / "sizes.json").exists()
    assert "latency/total" not in read_run(run_id).metrics


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory):
    """A project whose random weights are evaluated: the metrics of test, the run, what was printed."""
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(io.StringIO()) as printed:
        folder = tmp_path_factory.mktemp("project")
        patch.chdir(folder)
        patch.delenv("DVC_ROOT", raising=False)
        manifest = prepared_dataset(PREPARED_FOLDER, images=IMAGES)
        COLUMNS_FOLDER.mkdir(parents=True)
        columns = {
            item.source: ImageColumns(f"group {place % 2}", 0.2) for place, item in enumerate(manifest.items)
        }
        write_image_columns(COLUMNS_FOLDER, manifest, columns)
        run_id = save_model("detect", manifest.names)
        test = evaluate(latency=3)["test"]
        yield Evaluated(folder, test, read_run(run_id), printed.getvalue())


class Evaluated(NamedTuple):
    folder: Path
    test: dict
    logged: RunData
    printed: str

    def read(self, name):
        return json.loads((self.folder / EVALUATION_FOLDER / name).read_text())


def read_run(run_id):
    return MlflowClient(TARGET.address).get_run(run_id).data


def test_worst_slice_is_one_of_enough_images_and_is_named_everywhere(evaluated):
    slices = {row["slice"]: row for row in evaluated.read("slices.json")}
    assert {"group=group 0", "group=group 1"} <= set(slices)
    worst = evaluated.test["worst_slice"]
    judged = [row["mAP50-95"] for row in slices.values() if row["images"] >= 10]
    assert evaluated.test["mAP50-95_worst_slice"] == slices[worst]["mAP50-95"] == min(judged)
    assert evaluated.logged.tags["finetrack.worst_slice"] == worst
    assert f"worst slice {worst}" in evaluated.printed


def test_sizes_are_those_of_the_images_and_of_the_network_input(evaluated):
    sizes = evaluated.read("sizes.json")
    counts = [sum(row["objects"] for name, row in sizes.items() if ("imgsz" in name) == at) for at in (0, 1)]
    assert counts == [evaluated.test["objects"]] * 2
    assert sizes["small"]["objects"] < sizes["small_at_imgsz"]["objects"]
    assert "test/mAP50-95_small_at_imgsz" in evaluated.logged.metrics
    assert evaluated.logged.metrics["test/AR100"] == evaluated.test["AR100"]


def test_predictions_and_pictures_are_written_and_logged(evaluated):
    stored = read_stored_predictions(evaluated.folder / EVALUATION_FOLDER / "predictions", "test")
    assert all(len(found.scores) <= 20 for found in stored.detections)
    assert {image.group for image in stored.images} == {"group 0", "group 1"}
    assert stored.weights == hash_file(evaluated.folder / FINETUNED_FOLDER / "best.pt")
    kept = {path.name for path in next((evaluated.folder / "mlruns").rglob("evaluation")).rglob("*")}
    assert {
        "latency.json",
        "test.json",
        "test_truth.json",
        "val.json",
        "reliability.png",
        "slices.png",
    } <= kept


def test_latency_is_logged_and_in_no_file_that_dvc_tracks(evaluated):
    metrics = evaluated.logged.metrics
    assert 0 < metrics["latency/inference"] < metrics["latency/total"]
    measured = json.loads(evaluated.logged.tags["finetrack.latency"])
    assert (measured["images"], measured["imgsz"], measured["device"]) == (3, 64, "cpu")
    assert measured["busy"] >= 0
    assert not [path for path in (evaluated.folder / "reports").rglob("*") if "latency" in path.name]
    assert "ms per image" in evaluated.printed
