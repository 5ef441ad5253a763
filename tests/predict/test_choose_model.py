"""The default model of a prediction, and its settings: as the user says, else as chosen on val."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from ultralytics import YOLO

from pipeline.config.groups.evaluate import EvaluateConfig
from pipeline.config.groups.tracking import TrackingConfig
from pipeline.config.schema import Config
from pipeline.core.errors import UserError
from pipeline.predict.choose_model import choose_model
from pipeline.predict.request import PredictionRequest, describe_chosen_model, list_deciding_settings
from tests.iterations import projects
from tests.predict.conftest import WEIGHTS


class _Registry:
    name = "demo"


CONFIG = Config.model_construct(
    tracking=TrackingConfig(
        uri=projects.TARGET.uri,
        experiment="trial",
        timeout=20.0,
        run_name=None,
        tags={},
        system_metrics=False,
    ),
    registry=_Registry(),
    evaluate=EvaluateConfig.model_construct(iou=0.65, max_det=200, batch=4, overlap=0.2),
)


@pytest.fixture
def project(tmp_path, monkeypatch):
    for name in [name for name in os.environ if name.startswith(("DVC_", "FINETRACK_", "GIT_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.chdir(tmp_path)
    projects.create_repository()
    return tmp_path


def test_the_champion_is_the_default_with_what_was_chosen_on_val(project):
    run_id = projects.train("first")
    projects.evaluate(run_id, iou=0.55)
    workspace = choose_model(None, CONFIG, {"imgsz": 96})
    assert workspace.weights.read_bytes() == b"weights of first 0.001"
    assert "demo has no champion yet" in workspace.sentences[0]
    from mlflow import MlflowClient

    client = MlflowClient(projects.TARGET.address)
    client.create_registered_model("demo")
    client.create_model_version("demo", f"runs:/{run_id}/finetuned", run_id=run_id)
    client.set_registered_model_alias("demo", "champion", "1")
    (project / "models/finetuned/best.pt").write_bytes(b"another")
    chosen = choose_model(None, CONFIG, {"max_det": 9, "batch": None})
    assert chosen.weights.read_bytes() == b"weights of first 0.001"
    assert chosen.iteration.version == "1"
    expected = {"conf": 0.2, "iou": 0.55, "max_det": 9, "imgsz": 64, "batch": 4, "tile": None}
    assert expected.items() <= chosen.settings.items()
    assert "0.2 (chosen on val)" in chosen.sentences[1]
    own = choose_model("demo@champion", CONFIG, {"conf": 0.7, "tile": 128})
    assert (own.settings["conf"], own.settings["tile"]) == (0.7, 128)
    assert "as you say" in own.sentences[1]


def test_without_any_model_both_ways_out_are_named(project):
    with pytest.raises(UserError, match=r"no champion yet, and the workspace has no .*--model"):
        choose_model(None, CONFIG, {})
    assert not (project / "mlflow.db").exists()


@pytest.mark.usefixtures("project")
def test_a_file_has_the_image_size_of_its_training():
    chosen = choose_model(str(WEIGHTS), CONFIG, {"tile": 0})
    assert chosen.settings["imgsz"] == 192
    assert (chosen.settings["conf"], chosen.settings["tile"]) == (0.25, None)
    assert "default of Ultralytics" in chosen.sentences[1]
    assert chosen.weights == Path(WEIGHTS)


@pytest.mark.usefixtures("project")
def test_a_classifier_has_no_threshold_and_takes_none(tmp_path):
    weights = tmp_path / "net.pt"
    YOLO("yolo26n-cls.yaml").save(weights)
    chosen = choose_model(str(weights), CONFIG, {"imgsz": 64})
    assert chosen.iteration.task == "classify"
    assert "scores from" not in chosen.sentences[1]
    assert "5 classes" in chosen.sentences[1]
    assert "conf" not in describe_chosen_model(chosen)
    request = PredictionRequest([tmp_path], tmp_path / "out", ["coco"], chosen)
    assert not {"conf", "iou", "max_det"} & list_deciding_settings(request).keys()
    for name, value in (("conf", 0.6), ("iou", 0.5), ("max_det", 3)):
        with pytest.raises(UserError, match=f"^--{name.replace('_', '-')}: "):
            choose_model(str(weights), CONFIG, {name: value})
