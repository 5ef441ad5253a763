"""Every task but detection through all stages, on a few tiny drawn images: what a user has afterwards."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
import yaml
from hydra import compose, initialize_config_dir
from mlflow import MlflowClient
from omegaconf import OmegaConf
from ultralytics.cfg import entrypoint

from pipeline.augment import stage as augment_stage
from pipeline.config.schema import parse_config
from pipeline.core.paths import (
    EVALUATION_FOLDER,
    FINETUNED_FOLDER,
    PARAMS_FILE,
    PREPARED_FOLDER,
    TEST_METRICS_FILE,
)
from pipeline.dataset.prepared import read_manifest
from pipeline.evaluate import stage as evaluate_stage
from pipeline.finetune import stage as finetune_stage
from pipeline.prepare import stage as prepare_stage

ROOT = Path(__file__).parents[2]
SMALL = (
    *("finetune=scratch", "finetune.epochs=1", "finetune.imgsz=64", "finetune.batch=8"),
    *("finetune.workers=0", "finetune.warmup_epochs=0.0", "augment=light", "data.images=14"),
    *("data.pixels=64", "data.split={train: 8, val: 3, test: 3}", "data.samples=2"),
    *("evaluate.conf=0.0", "evaluate.bootstrap=20", "evaluate.worst=1", "evaluate.latency=2"),
    "tracking.system_metrics=false",
)
FIGURES = {
    "segment": {"mask/mAP50-95", "mask/mAP50_low", "mask/F1", "mAP50-95", "mAP50_high", "threshold"},
    "obb": {"mAP50-95", "mAP50-95_low", "mAP50", "precision", "recall", "F1", "threshold"},
    "pose": {"pose/mAP50-95", "pose/mAP50_low", "pose/F1", "mAP50-95", "mAP50_high", "threshold"},
    "classify": {"top1", "top1_low", "top1_high", "top5", "precision", "recall", "F1"},
}
WRITTEN = {"pr_curve.csv", "pr_curve.png", "f1_curve.csv", "f1_curve.png", "confusion.csv", "confusion.png"}


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """One folder for all: each task replaces what the one before left, and they share an MLflow database."""
    return tmp_path_factory.mktemp("tasks")


@pytest.mark.parametrize(
    "task",
    [pytest.param(task, marks=[pytest.mark.slow] if task in {"pose", "obb"} else []) for task in FIGURES],
)
def test_a_task_from_drawing_to_figures(task, project, monkeypatch, capsys):
    monkeypatch.chdir(project)
    monkeypatch.setenv("DVC_ROOT", str(project))
    with initialize_config_dir(str(ROOT / "conf"), version_base=None):
        composed = compose("config", overrides=[f"data.task={task}", *SMALL])
        values = OmegaConf.to_container(composed, resolve=True)
    PARAMS_FILE.write_text(yaml.safe_dump(values))
    for stage in (prepare_stage, augment_stage, finetune_stage, evaluate_stage):
        stage.run_stage(parse_config(values))
    hint = capsys.readouterr().out.splitlines()[-1]

    manifest = read_manifest(PREPARED_FOLDER)
    assert manifest.task == task
    assert (manifest.keypoints is not None) == (task == "pose")
    trained = json.loads((FINETUNED_FOLDER / "run.json").read_text())
    assert trained["task"] == task
    metrics = json.loads(TEST_METRICS_FILE.read_text())
    assert set(metrics["test"]) >= FIGURES[task]
    assert set(metrics["per_class"]) <= set(manifest.names)
    assert {path.name for path in EVALUATION_FOLDER.iterdir()} >= WRITTEN
    with (EVALUATION_FOLDER / "confusion.csv").open(newline="") as file:
        actual = [row["actual"] for row in csv.DictReader(file)]
    test = [manifest.names[cls] for item in manifest.in_split("test") for cls in item.classes]
    assert sorted(name for name in actual if name != "background") == sorted(test)
    run = MlflowClient(f"sqlite:///{project / 'mlflow.db'}").get_run(trained["run_id"])
    assert run.info.status == "FINISHED"
    for name in FIGURES[task]:
        assert run.data.metrics[f"test/{name}"] == pytest.approx(metrics["test"][name])
    _type_hint(hint, PREPARED_FOLDER / "images" / manifest.in_split("test")[0].file, project)


def _type_hint(hint: str, image: Path, project: Path) -> None:
    """Type the command that evaluate ends with, as Ultralytics' own program reads it."""
    start, command = hint.split(": yolo ")
    assert start == "evaluate: to use the model"
    typed = command.replace("IMAGE_OR_FOLDER", str(image)).split()
    entrypoint(
        " ".join(["yolo", *typed, f"project={project / 'runs'}", "name=out", "exist_ok=true", "save=true"])
    )
    assert (project / "runs/out" / image.with_suffix(".jpg").name).is_file()
