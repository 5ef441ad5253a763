"""Kept predictions give the metrics of the evaluation again, to the last bit, for every task."""

import numpy as np
import pytest

from pipeline.core.detections import Detections
from pipeline.core.geometry.masks import rasterize_outline
from pipeline.core.paths import PREPARED_FOLDER
from pipeline.dataset.coco_head import PredictionHead
from pipeline.dataset.coco_results import read_stored_predictions
from pipeline.dataset.coco_rows import round_detections
from pipeline.dataset.image_columns import COLUMNS_FOLDER, ImageColumns, write_image_columns
from pipeline.evaluate.metrics.detection import (
    MetricSettings,
    SplitPredictions,
    collect_detection_metrics,
    evaluate_detections,
)
from pipeline.evaluate.metrics.similarity import attach_similarity
from pipeline.evaluate.prediction_files import describe_predicted_images, record_predictions
from pipeline.evaluate.predictions import read_ground_truth
from tests import task_sets


@pytest.fixture(autouse=True)
def _project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def detect_nearly(truth, task, rng):
    """Return detections beside the objects, of each two, and one elsewhere; scores have many digits."""
    shift = rng.normal(0, 1.5, (2 * len(truth.classes), 2))
    boxes = truth.boxes.repeat(2, axis=0) + np.tile(shift, 2)
    scores = np.sort(rng.uniform(0, 1, len(boxes)))[::-1]
    found = Detections(boxes, scores, truth.classes.repeat(2))
    if task == "obb":
        rings = [ring + step for ring, step in zip(_double(truth.outlines), shift, strict=True)]
        return found._replace(outlines=tuple(rings))
    if task == "segment":
        rings = [ring + step for ring, step in zip(_double(truth.outlines), shift, strict=True)]
        return found._replace(masks=tuple(rasterize_outline(ring, (64, 64)) for ring in rings))
    if task == "pose":
        points = truth.keypoints.repeat(2, axis=0) + 0.0
        points[:, :, :2] += shift[:, None]
        return found._replace(keypoints=points)
    return found


def _double(outlines):
    return [outline for outline in outlines for _ in range(2)]


def evaluate(val, test, manifest):
    settings = MetricSettings(manifest.task, manifest.names, np.arange(len(test.truths)), 20, 0)
    return collect_detection_metrics(evaluate_detections(test, val, settings))


def compare(truths, detections, task):
    pairs = zip(truths, detections, strict=True)
    return SplitPredictions(truths, [attach_similarity(*pair, task, size=(64, 64)) for pair in pairs])


@pytest.mark.parametrize("task", ["detect", "segment", "obb", "pose"])
def test_files_with_predictions_give_the_same_metrics(tmp_path, task):
    manifest = task_sets.prepared(PREPARED_FOLDER, task, images={"train": 1, "val": 6, "test": 10})
    head = PredictionHead(task, manifest.names, manifest.digest, "w" * 64, manifest.keypoints)
    images = {split: describe_predicted_images(manifest, split) for split in ("val", "test")}
    rng, splits = np.random.default_rng(0), {}
    with record_predictions(tmp_path / "kept", head, images) as recorder:
        for split in images:
            items = manifest.in_split(split)
            truths = [read_ground_truth(item, manifest, single_class=False) for item in items]
            found = [round_detections(detect_nearly(truth, task, rng)) for truth in truths]
            for row in zip(items, truths, found, strict=True):
                recorder.record_objects(*row)
            splits[split] = compare(truths, found, task)
    stored = {split: read_stored_predictions(tmp_path / "kept", split) for split in images}
    again = {split: compare(each.truths, each.detections, task) for split, each in stored.items()}
    metrics = evaluate(splits["val"], splits["test"], manifest)
    assert evaluate(again["val"], again["test"], manifest) == metrics
    assert any(0.05 < value < 0.95 for name, value in metrics["test"].items() if "mAP50-95" in name)


def test_images_are_described_with_groups_and_slices():
    manifest = task_sets.prepared(PREPARED_FOLDER, "detect", images={"train": 1, "val": 6, "test": 12})
    COLUMNS_FOLDER.mkdir(parents=True)
    columns = {
        item.source: ImageColumns("twins" if place < 7 else item.source, place / 20)
        for place, item in enumerate(manifest.items)
    }
    write_image_columns(COLUMNS_FOLDER, manifest, columns)
    images = describe_predicted_images(manifest, "test")
    assert [image.id for image in images] == list(range(1, 13))
    assert [image.group for image in images].count("twins") == 7
    assert {name for image in images for name in image.slices} == {"group=twins"}


def test_folders_of_classes_are_no_slices():
    manifest = task_sets.prepared(PREPARED_FOLDER, "classify", images={"train": 1, "val": 1, "test": 12})
    images = describe_predicted_images(manifest, "test")
    assert {name for image in images for name in image.slices} == set()
    assert [image.cls for image in images] == [item.classes[0] for item in manifest.in_split("test")]
