"""Predictions and metrics of segment, obb, pose and classify, with real networks."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from ultralytics import YOLO
from ultralytics.nn.tasks import ClassificationModel, OBBModel, PoseModel, SegmentationModel

from pipeline.core.detections import GroundTruth
from pipeline.core.errors import UserError
from pipeline.core.geometry.masks import ObjectMask, mask_iou
from pipeline.core.paths import PREPARED_FOLDER
from pipeline.dataset.labels import parse_labels, xywhn_to_xyxy
from pipeline.evaluate.metrics.average_precision import compute_average_precisions, compute_mean_ap
from pipeline.evaluate.metrics.matching import build_detection_table
from pipeline.evaluate.metrics.similarity import attach_similarity, keep_boxes_only
from pipeline.yolo.inference.predict import predict_detections, predict_probabilities
from tests import coco_reference, official

OFFICIAL = official.WEIGHTS / "yolov8n-seg.pt"
HOW = {"imgsz": 320, "conf": 0.001, "iou": 0.7, "max_det": 300, "batch": 4, "device": "cpu"}
MODELS = {
    "segment": (SegmentationModel, "yolo26n-seg.yaml"),
    "obb": (OBBModel, "yolo26n-obb.yaml"),
    "pose": (PoseModel, "yolo26n-pose.yaml"),
    "classify": (ClassificationModel, "yolo26n-cls.yaml"),
}


@pytest.fixture(autouse=True)
def _project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def images(tmp_path):
    """Write images of two shapes, alternating."""
    rng = np.random.default_rng(0)
    paths = [tmp_path / f"{number}.png" for number in range(4)]
    for number, path in enumerate(paths):
        size = (90, 64, 3) if number % 2 else (64, 128, 3)
        path.write_bytes(cv2.imencode(".png", rng.integers(0, 255, size, dtype=np.uint8))[1].tobytes())
    return paths


def untrained(tmp_path, task, **shape):
    """Write a checkpoint of random weights; with `conf` 0 it detects objects in every image."""
    torch.manual_seed(0)
    kind, architecture = MODELS[task]
    model = kind(architecture, nc=3, verbose=False, **shape)
    model.names = dict(enumerate("abc"))
    path = tmp_path / f"{task}.pt"
    torch.save({"model": model, "train_args": {"task": task}}, path)
    return path


@official.needs_official_weights
def test_masks_agree_with_faster_coco_eval_and_with_ultralytics_on_real_predictions():
    dataset = official.prepare_example("coco8-seg", "segment", YOLO(OFFICIAL).names.values())
    paths = [PREPARED_FOLDER / "images" / item.file for item in dataset.items]
    sizes = [(item.width, item.height) for item in dataset.items]
    truth = [outlined(item) for item in dataset.items]
    found = list(predict_detections(OFFICIAL, paths, "segment", **HOW))
    seen = [
        attach_similarity(t, f, "segment", size=size) for t, f, size in zip(truth, found, sizes, strict=True)
    ]
    table = build_detection_table(truth, seen, 80)
    present = table.objects.any(axis=0)
    theirs = coco_reference.compute_average_precision(truth, found, 80, kind="segm", sizes=sizes)[present]
    ours = compute_average_precisions(table)
    assert compute_mean_ap(ours)[0] == pytest.approx(theirs.mean(), abs=0.005)
    assert compute_mean_ap(ours[:, :, :1])[0] == pytest.approx(theirs[:, 0].mean(), abs=0.005)
    assert 0.2 < compute_mean_ap(ours)[0] < 0.8
    boxes, boxed = zip(*(keep_boxes_only(t, f) for t, f in zip(truth, seen, strict=True)), strict=True)
    theirs = coco_reference.compute_average_precision(boxes, boxed, 80)[present]
    assert compute_mean_ap(compute_average_precisions(build_detection_table(boxes, boxed, 80)))[
        0
    ] == pytest.approx(theirs.mean(), abs=1e-9)
    _same_masks_as_ultralytics(paths[0], found[0])


def _same_masks_as_ultralytics(path, found):
    """Compare the masks with those of `retina_masks=True`, which cover whole images."""
    [result] = YOLO(OFFICIAL).predict(cv2.imread(str(path)), retina_masks=True, verbose=False, **HOW)
    whole = [ObjectMask(0, 0, mask) for mask in result.masks.data.numpy().astype(bool)]
    assert len(whole) == len(found.masks)
    alike = np.diag(mask_iou(found.masks, whole))  # Ultralytics rounds the padding to whole cells
    assert alike.min() > 0.9
    assert alike.mean() > 0.98


def outlined(item):
    """Read the outlines of one prepared image."""
    known = parse_labels((PREPARED_FOLDER / "labels" / item.label_file).read_text(), "segment")
    outlines = tuple(outline * [item.width, item.height] for outline in known.outlines)
    return GroundTruth(xywhn_to_xyxy(known.boxes, item.width, item.height), known.classes, outlines)


def test_masks_are_cropped_to_their_boxes(tmp_path, images):
    for found in predict_detections(
        untrained(tmp_path, "segment"), images, "segment", **HOW | {"conf": 0.0, "imgsz": 64}
    ):
        assert len(found.masks) == len(found.scores) > 0
        assert (np.diff(found.scores) <= 0).all()
        for mask, box in zip(found.masks, found.boxes, strict=True):
            assert mask.pixels.any()
            height, width = mask.pixels.shape
            np.testing.assert_array_equal(
                [mask.left, mask.top, mask.left + width, mask.top + height], np.ceil(box).astype(int)
            )


def test_rotated_boxes_have_four_corners_in_image_pixels(tmp_path, images):
    weights = untrained(tmp_path, "obb")
    for found in predict_detections(weights, images, "obb", **HOW | {"conf": 0.0, "imgsz": 64}):
        corners = np.array(found.outlines)
        assert corners.shape == (len(found.scores), 4, 2)
        np.testing.assert_allclose(corners[:, 0] + corners[:, 2], corners[:, 1] + corners[:, 3], atol=1e-2)
        np.testing.assert_allclose(found.boxes[:, :2], corners.min(axis=1), atol=1e-2)


def test_keypoints_are_in_image_pixels(tmp_path, images):
    weights = untrained(tmp_path, "pose", data_kpt_shape=(5, 3))
    sizes = [(128, 64), (64, 90)] * 2
    for found, size in zip(
        predict_detections(weights, images, "pose", **HOW | {"conf": 0.0, "imgsz": 64}), sizes, strict=True
    ):
        assert found.keypoints.shape == (len(found.scores), 5, 3)
        assert (found.keypoints[:, :, :2] >= 0).all()
        assert (found.keypoints[:, :, :2] <= size).all()


def test_class_probabilities_sum_to_one(tmp_path, images):
    rows = list(predict_probabilities(untrained(tmp_path, "classify"), images, **HOW | {"imgsz": 64}))
    assert [row.shape for row in rows] == [(3,)] * 4
    np.testing.assert_allclose([row.sum() for row in rows], 1, atol=1e-5)


def test_weights_of_another_task_are_refused(tmp_path, images):
    weights = untrained(tmp_path, "obb")
    with pytest.raises(UserError, match=r"obb\.pt was trained for obb, but the data is for segment"):
        list(predict_detections(weights, images, "segment", **HOW))
