"""Predictions of models: stored ones with their threshold, new ones with weights, and remarks about them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from ultralytics.nn.tasks import DetectionModel

from pipeline.comparison.models.candidates import Candidate, find_candidates
from pipeline.comparison.models.collect_models import ModelCollector, find_threshold, remark_on_settings
from pipeline.core.errors import UserError
from pipeline.dataset.coco_results import read_stored_predictions
from pipeline.evaluate.metrics.confidence_threshold import find_best_threshold
from pipeline.evaluate.metrics.matching import build_detection_table
from pipeline.iterations.iteration import Iteration
from pipeline.iterations.predict_split import PreparedData
from tests.builders import prepared_dataset
from tests.comparison.conftest import TARGET
from tests.comparison.stored import NAMES, draw_classifications, draw_detections


def save_untrained_weights(path, names=NAMES):
    """Save random weights, which detect something everywhere."""
    torch.manual_seed(0)
    model = DetectionModel("yolo26n.yaml", nc=len(names), verbose=False)
    model.names = dict(enumerate(names))
    torch.save({"model": model, "train_args": {"task": "detect", "imgsz": 64}}, path)
    return path


def file_of(path):
    return Iteration(str(path), "file", path.name, file=path)


@pytest.fixture
def data(tmp_path, monkeypatch):
    """Prepared data in the current folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    manifest = prepared_dataset(
        tmp_path / "data/prepared", images={"train": 1, "val": 2, "test": 3}, pixels=64, classes=NAMES
    )
    return PreparedData(manifest, tmp_path, "the workspace")


def test_stored_predictions_come_with_the_threshold_of_their_val_split(runs, config, tmp_path):
    candidates = find_candidates(["plain", "plain-1", "fast"], TARGET, registry_name="none")
    found = ModelCollector(config, TARGET, tmp_path).collect(candidates)
    assert [model.label for model in found.models] == ["plain (2 seeds)", "fast"]
    assert [len(model.trainings) for model in found.models] == [2, 1]
    assert (found.data, found.remarks) == (None, [])
    val = read_stored_predictions(Path("fast/evaluation/predictions"), "val")
    table = build_detection_table(val.truths, val.detections, len(val.names))
    assert found.models[1].thresholds == (find_best_threshold(table),)
    assert len(runs) == 3


def test_a_file_predicts_on_the_workspace_with_classes_as_in_the_data(data, config, tmp_path):
    first = save_untrained_weights(tmp_path / "first.pt")
    turned = save_untrained_weights(tmp_path / "turned.pt", NAMES[::-1])
    candidates = [Candidate(file.name, (file_of(file),)) for file in (first, turned)]
    found = ModelCollector(config, TARGET, tmp_path / "predicted").collect(candidates)
    one, other = (model.trainings[0] for model in found.models)
    assert one.names == other.names == data.manifest.names
    assert [image.file for image in one.images] == [item.file for item in data.manifest.in_split("test")]
    for here, there in zip(one.detections, other.detections, strict=True):
        assert len(here.scores)
        assert (here.boxes == there.boxes).all()
        assert (here.classes == len(NAMES) - 1 - there.classes).all()
    assert all(model.thresholds[0] is not None for model in found.models)
    assert sum("was trained on test images" in remark for remark in found.remarks) == 2


@pytest.mark.usefixtures("runs")
def test_stored_predictions_on_other_data_than_that_of_the_training_are_remarked_on(config, tmp_path):
    (candidate,) = find_candidates(["plain"], TARGET, registry_name="none")
    other = replace(candidate.iterations[0], data="e" * 64)
    found = ModelCollector(config, TARGET, tmp_path).collect([Candidate("plain", (other,))])
    [remark] = found.remarks
    assert "was trained on test images of dataset dddddddddd is not known" in remark


@pytest.mark.fault(13, "the stored predictions of a run are of other weights")
@pytest.mark.usefixtures("runs")
def test_stored_predictions_of_other_weights_are_not_used(config, tmp_path, capsys):
    (candidate,) = find_candidates(["plain"], TARGET, registry_name="none")
    other = replace(candidate.iterations[0], sha256="f" * 64)
    with pytest.raises(
        UserError, match="run prepare first"
    ):  # it would predict anew, and there are no images
        ModelCollector(config, TARGET, tmp_path).collect([Candidate("plain", (other,))])
    assert "stored predictions of other weights" in capsys.readouterr().err


@pytest.mark.usefixtures("data")
def test_a_file_that_was_trained_on_test_images_or_not_is_a_remark(config, tmp_path):
    file = save_untrained_weights(tmp_path / "some.pt")
    found = ModelCollector(config, TARGET, tmp_path / "predicted", on="workspace").collect(
        [Candidate("some.pt", (file_of(file),))]
    )
    assert any(
        "some.pt was trained on test images of the workspace is not known" in each for each in found.remarks
    )


def test_settings_that_decide_predictions_and_differ_are_a_remark():
    same = {"evaluate.conf": 0.001, "evaluate.iou": 0.7}
    assert remark_on_settings([same, same, {}]) == []
    (remark,) = remark_on_settings([same, {**same, "evaluate.conf": 0.25}])
    assert "evaluate.conf is 0.001 and 0.25" in remark


def test_no_threshold_is_found_for_classes_of_images_or_without_objects():
    assert find_threshold(draw_classifications(5, skill=0.9)) is None
    found = draw_detections(5, skill=0.9)
    for place, truth in enumerate(found.truths):
        found.truths[place] = truth._replace(boxes=truth.boxes[:0], classes=truth.classes[:0])
    assert find_threshold(found) is None
    assert 0 < find_threshold(draw_detections(30, skill=0.9)) < 1
    assert np.isfinite(found.detections[0].scores).all()
