"""Label suspects as files: what is suspected, where, with a picture of each."""

from __future__ import annotations

import json

import numpy as np
import pytest

from pipeline.core.detections import Detections, GroundTruth
from pipeline.core.paths import PREPARED, SPLITS
from pipeline.evaluate import label_error_report, predictions
from pipeline.evaluate.metrics.classification import ClassScores
from pipeline.evaluate.metrics.detection import SplitPredictions
from pipeline.evaluate.metrics.label_errors import rank
from tests import task_sets
from tests.builders import prepared_dataset


@pytest.fixture(autouse=True)
def _project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def agreeing(manifest, split):
    """What a model finds that agrees with every label."""
    truths = [predictions._objects(item, manifest, merged=False) for item in manifest.of(split)]
    sure = [np.full(len(truth.classes), 0.9) for truth in truths]
    pairs = zip(truths, sure, strict=True)
    return SplitPredictions(
        truths, [Detections(t.boxes, scores, t.classes, t.outlines) for t, scores in pairs]
    )


def written(tmp_path, manifest, parts, most=50):
    judged = label_error_report.gather(manifest, parts, manifest.names)
    label_error_report.write(tmp_path, rank(judged.truths, judged.found, most=most), judged)
    return json.loads((tmp_path / "suspects.json").read_text())["suspects"], (
        tmp_path / "suspects.html"
    ).read_text()


def test_spoilt_labels_are_listed_with_place_and_picture(tmp_path):
    manifest = prepared_dataset(PREPARED, objects=(2, 2))
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
    assert [row["file"] for row in found] == [manifest.of(split)[0].file for split in SPLITS]
    assert page.count('<img src="data:image/jpeg;base64,') == 3
    assert "3 labels to look at" in page


def test_a_model_that_agrees_leaves_an_empty_page(tmp_path):
    manifest = prepared_dataset(PREPARED)
    found, page = written(tmp_path, manifest, {split: agreeing(manifest, split) for split in SPLITS})
    assert found == []
    assert "agrees with every label" in page


def test_the_list_is_as_long_as_asked_for(tmp_path):
    manifest = prepared_dataset(PREPARED, objects=(3, 3))
    parts = {split: agreeing(manifest, split) for split in SPLITS}
    none = GroundTruth(np.zeros((0, 4)), np.zeros(0, np.int64))
    bare = {split: SplitPredictions([none] * len(part.truths), part.found) for split, part in parts.items()}
    assert len(written(tmp_path, manifest, bare, most=4)[0]) == 4


def test_the_class_of_an_image_is_contradicted(tmp_path):
    manifest = task_sets.prepared(PREPARED, "classify", images={"train": 2, "val": 1, "test": 1})
    truth = {split: np.array([item.classes[0] for item in manifest.of(split)]) for split in SPLITS}
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
def test_a_wrong_class_is_found_whatever_the_shape(task, tmp_path):
    manifest = task_sets.prepared(PREPARED, task, images={"train": 1, "val": 1, "test": 1})
    parts = {split: agreeing(manifest, split) for split in SPLITS}
    truth = parts["test"].truths[0]
    parts["test"].truths[0] = truth._replace(classes=(truth.classes + np.array([1, 0])) % 3)
    [row], page = written(tmp_path, manifest, parts)
    assert (row["split"], row["kind"], row["label"]["line"]) == ("test", "wrong class", 1)
    assert page.count("data:image/jpeg") == 1
