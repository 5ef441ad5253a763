"""Files of suspect labels: kind, place, and a picture of each."""

from __future__ import annotations

import json

import numpy as np
import pytest

from pipeline.core.detections import Detections, GroundTruth
from pipeline.core.paths import PREPARED_FOLDER, SPLITS
from pipeline.evaluate.label_error_report import merge_splits, write_label_error_report
from pipeline.evaluate.metrics.classification import ClassScores
from pipeline.evaluate.metrics.detection import SplitPredictions
from pipeline.evaluate.metrics.label_errors import rank_suspect_labels
from pipeline.evaluate.predictions import read_ground_truth
from tests import task_sets
from tests.builders import prepared_dataset


@pytest.fixture(autouse=True)
def _project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def agreeing(manifest, split):
    """Return predictions that agree with every label."""
    truths = [read_ground_truth(item, manifest, single_class=False) for item in manifest.in_split(split)]
    sure = [np.full(len(truth.classes), 0.9) for truth in truths]
    pairs = zip(truths, sure, strict=True)
    return SplitPredictions(
        truths, [Detections(t.boxes, scores, t.classes, t.outlines) for t, scores in pairs]
    )


def written(tmp_path, manifest, parts, most=50):
    data = merge_splits(manifest, parts, manifest.names)
    suspects = rank_suspect_labels(data.truths, data.detections)
    write_label_error_report(tmp_path, suspects, data, most=most)
    return json.loads((tmp_path / "suspects.json").read_text())["suspects"], (
        tmp_path / "suspects.html"
    ).read_text()


def test_wrong_labels_are_listed_with_place_and_picture(tmp_path):
    manifest = prepared_dataset(PREPARED_FOLDER, objects=(2, 2))
    parts = {split: agreeing(manifest, split) for split in SPLITS}
    first, second, third = (parts[split].truths[0] for split in SPLITS)
    parts["train"].truths[0] = GroundTruth(first.boxes[1:], first.classes[1:])
    parts["val"].truths[0] = second._replace(classes=(second.classes + np.array([1, 0])) % 3)
    parts["test"].truths[0] = third._replace(boxes=third.boxes + np.array([[8], [0]]))
    found, page = written(tmp_path, manifest, parts)
    assert [(row["kind"], row["split"]) for row in found] == [
        ("missing", "train"),
        ("wrong class", "val"),
        ("loose", "test"),
    ]
    missing, wrong, loose = found
    assert missing["label"] is None
    assert missing["found"]["box"] == pytest.approx(first.boxes[0], abs=0.01)
    assert missing["found"]["class"] == manifest.names[first.classes[0]]
    assert wrong["label"]["line"] == 1
    assert wrong["label"]["class"] != wrong["found"]["class"] == manifest.names[second.classes[0]]
    assert loose["score"] == pytest.approx(0.9 * (1 - loose["label"]["overlap"]), abs=1e-3)
    assert [row["file"] for row in found] == [manifest.in_split(split)[0].file for split in SPLITS]
    assert page.count('<img src="data:image/jpeg;base64,') == 3
    assert "3 labels to look at" in page


def test_report_of_a_model_that_agrees_is_empty(tmp_path):
    manifest = prepared_dataset(PREPARED_FOLDER)
    found, page = written(tmp_path, manifest, {split: agreeing(manifest, split) for split in SPLITS})
    assert found == []
    assert "agrees with every label" in page


def test_list_has_at_most_the_requested_length(tmp_path):
    manifest = prepared_dataset(PREPARED_FOLDER, objects=(3, 3))
    parts = {split: agreeing(manifest, split) for split in SPLITS}
    none = GroundTruth(np.zeros((0, 4)), np.zeros(0, np.int64))
    bare = {
        split: SplitPredictions([none] * len(part.truths), part.detections) for split, part in parts.items()
    }
    found, page = written(tmp_path, manifest, bare, most=4)
    assert len(found) == 4
    told = json.loads((tmp_path / "suspects.json").read_text())
    assert told["total"] == told["kinds"]["missing"] == 3 * len(manifest.items) > 4
    assert f"the first 4 of {told['total']}" in page
    assert "4 labels to look at first" in page


def test_wrong_class_of_an_image_is_listed(tmp_path):
    manifest = task_sets.prepared(PREPARED_FOLDER, "classify", images={"train": 2, "val": 1, "test": 1})
    truth = {split: np.array([item.classes[0] for item in manifest.in_split(split)]) for split in SPLITS}
    parts = {
        split: ClassScores(found, found[:, None], np.full((len(found), 1), 0.8))
        for split, found in truth.items()
    }
    other = (truth["val"] + 1) % 3
    parts["val"] = ClassScores(truth["val"], np.array([[other[0], truth["val"][0]]]), np.array([[0.7, 0.2]]))
    [row], page = written(tmp_path, manifest, parts)
    assert (row["split"], row["kind"], row["score"]) == ("val", "wrong class", 0.5)
    assert row["found"]["class"] == manifest.names[other[0]]
    assert "1 label to look at" in page


@pytest.mark.parametrize("task", ["segment", "obb", "pose"])
def test_wrong_class_is_listed_for_every_task(task, tmp_path):
    manifest = task_sets.prepared(PREPARED_FOLDER, task, images={"train": 1, "val": 1, "test": 1})
    parts = {split: agreeing(manifest, split) for split in SPLITS}
    truth = parts["test"].truths[0]
    parts["test"].truths[0] = truth._replace(classes=(truth.classes + np.array([1, 0])) % 3)
    [row], page = written(tmp_path, manifest, parts)
    assert (row["split"], row["kind"], row["label"]["line"]) == ("test", "wrong class", 1)
    assert page.count("data:image/jpeg") == 1
