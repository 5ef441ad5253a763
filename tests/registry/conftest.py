"""A project with a database of runs, and its configuration."""

from __future__ import annotations

import shutil

import pytest

from pipeline.config.groups.evaluate import EvaluateConfig
from pipeline.config.groups.finetune import FinetuneConfig
from pipeline.config.groups.registry import RegistryConfig
from pipeline.config.groups.tracking import TrackingConfig
from pipeline.config.schema import Config
from pipeline.tracking.store.client import MlflowClientCache
from pipeline.tracking.target import TrackingTarget
from tests.registry.runs import TAGS, log_run, predict

TRACKING = {"uri": "sqlite:///mlflow.db", "experiment": "trial", "timeout": 20.0}
RUNS = {
    "first": {"predictions": predict(0.7)},
    "worse": {"predictions": predict(0.4, seed=2)},
    "better": {"predictions": predict(0.95, seed=3)},
    "lopsided": {"predictions": predict(0.99, stain=0.3, seed=4)},
    "relabelled": {"predictions": predict(0.9, labels="corrected")},
    "leaking": {"predictions": predict(0.7), "tags": TAGS | {"finetrack.data.leak": "3 images"}},
    "replaced": {"predictions": predict(0.9), "tags": TAGS | {"finetrack.weights.sha256": "x" * 64}},
    "elsewhere": {"predictions": predict(0.95, seed=3), "tags": TAGS | {"finetrack.data.digest": "e" * 64}},
    "continued": {"predictions": predict(0.95, seed=3), "tags": TAGS | {"finetrack.base.seen": "12"}},
    "unsure": {"predictions": predict(0.95, seed=3), "tags": TAGS | {"finetrack.base.seen": "unknown"}},
    "dirty": {"predictions": predict(0.7), "tags": TAGS | {"finetrack.git.dirty": True}},
}


@pytest.fixture(scope="session")
def logged_project(tmp_path_factory):
    """A project with runs, to copy: logging them takes seconds."""
    folder = tmp_path_factory.mktemp("project")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.delenv("DVC_ROOT", raising=False)
        target = TrackingTarget(**TRACKING)
        return folder, {name: log_run(target, name, **facts) for name, facts in RUNS.items()}


@pytest.fixture
def runs(tmp_path, logged_project, monkeypatch):
    """The ids of the runs by their names, in a copy of the project."""
    folder, ids = logged_project
    shutil.copytree(folder, tmp_path / "copy")
    monkeypatch.chdir(tmp_path / "copy")
    monkeypatch.delenv("DVC_ROOT", raising=False)
    return ids


@pytest.fixture
def target(runs):  # noqa: ARG001 - its folder
    return TrackingTarget(**TRACKING)


@pytest.fixture
def client(target):
    return MlflowClientCache(target).client


@pytest.fixture
def config(runs):  # noqa: ARG001 - its folder
    return build_config()


def build_config(**registry):
    limits = {"epsilon": 0.01, "class_limit": 0.05, "slice_limit": 0.05, "min_objects": 30}
    evaluate = {"conf": 0.001, "iou": 0.7, "max_det": 300, "batch": 4, "tile": None, "overlap": 0.2}
    return Config.model_construct(
        seed=0,
        evaluate=EvaluateConfig.model_construct(**evaluate, bootstrap=0, registers=False),
        finetune=FinetuneConfig.model_construct(imgsz=64, device="cpu", threads=1),
        registry=RegistryConfig(name="parts", **{**limits, **registry}),
        tracking=TrackingConfig(**TRACKING, run_name=None, tags={}, system_metrics=False),
    )


def read_aliases(client):
    aliases = client.get_registered_model("parts").aliases
    return {alias: str(version) for alias, version in aliases.items()}
