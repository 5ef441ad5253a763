"""A project with three runs: two seeds of one configuration, and another configuration."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.config.groups.evaluate import EvaluateConfig
from pipeline.config.groups.finetune import FinetuneConfig
from pipeline.config.groups.model import ModelConfig
from pipeline.config.groups.zero_shot import ZeroShotConfig
from pipeline.config.schema import Config
from pipeline.dataset.coco_results import write_stored_predictions
from pipeline.tracking.runs import attach_run, open_run
from pipeline.tracking.target import TrackingTarget
from tests.comparison.stored import NAMES, draw_detections

TARGET = TrackingTarget("sqlite:///mlflow.db", "trial", 20.0)
DATA = "d" * 64
CONF = Path(__file__).parents[2] / "conf"
RUNS = {
    "plain": (0.6, {"finetune": {"lr0": 0.001}, "seed": 0}),
    "plain-1": (0.62, {"finetune": {"lr0": 0.001}, "seed": 1}),
    "fast": (0.9, {"finetune": {"lr0": 0.004}, "seed": 0}),
}


def log_run(name, skill, params):
    """Log a training and its evaluation with predictions on val and test; return the run's id."""
    tags = {"finetrack.task": "detect", "finetrack.data.digest": DATA, "finetrack.git.commit": "c" * 40}
    with open_run(TARGET, key=name, name=name, tags=tags) as session:
        session.log_params({**params, "evaluate": {"conf": 0.001, "iou": 0.7}})
        session.log_dataset("demo", DATA, source="data/prepared", classes=NAMES, splits={})
        session.set_tags({"finetrack.weights.sha256": name.ljust(64, "0")})
    folder = Path(name, "evaluation")
    seed = len(name)
    test = replace(draw_detections(40, skill=skill, seed=seed), weights=name.ljust(64, "0"))
    write_stored_predictions(folder / "predictions", "test", test)
    write_stored_predictions(
        folder / "predictions", "val", draw_detections(20, skill=skill, seed=seed, scene=1)
    )
    with attach_run(TARGET, key=name, run_id=session.run_id) as evaluation:
        evaluation.log_artifact(folder)
    return str(session.run_id)


@pytest.fixture(scope="session")
def logged_project(tmp_path_factory):
    """A project with runs, which tests only read: logging them takes seconds."""
    folder = tmp_path_factory.mktemp("compared")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.delenv("DVC_ROOT", raising=False)
        shutil.copytree(CONF, folder / "conf")
        local = folder / "conf/tracking/local.yaml"
        local.write_text(local.read_text().replace("experiment: finetrack", "experiment: trial"))
        return folder, {name: log_run(name, *facts) for name, facts in RUNS.items()}


@pytest.fixture
def runs(logged_project, monkeypatch):
    """The ids of the runs by their names, in the project's folder."""
    folder, ids = logged_project
    monkeypatch.chdir(folder)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    return ids


@pytest.fixture
def config():
    evaluate = {"conf": 0.001, "iou": 0.7, "max_det": 20, "batch": 4, "tile": None, "overlap": 0.2}
    return Config.model_construct(
        seed=0,
        evaluate=EvaluateConfig.model_construct(**evaluate),
        finetune=FinetuneConfig.model_construct(device="cpu", threads=1),
        model=ModelConfig.model_construct(folder=None),
        zero_shot=ZeroShotConfig(weights=None, prompts={}, text_encoder=None),
    )
