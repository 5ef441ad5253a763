"""Metrics of each detection task: their measures of overlap and their names."""

import numpy as np
import pytest

from pipeline.core.detections import Detections, GroundTruth
from pipeline.core.errors import UserError
from pipeline.core.geometry.masks import ObjectMask
from pipeline.evaluate.metrics.detection import (
    MetricSettings,
    SplitPredictions,
    collect_detection_metrics,
    evaluate_detections,
)
from pipeline.evaluate.metrics.similarity import attach_similarity

BOX = np.array([[2.0, 2.0, 12.0, 12.0]])
TRIANGLE = np.array([[2.0, 2.0], [12.0, 2.0], [2.0, 12.0]])
CLASS = np.array([0])
SIZE = (20, 20)


def split(task, truth, found):
    return SplitPredictions([truth], [attach_similarity(truth, found, task, size=SIZE)])


def measured(task, truth, found):
    both = split(task, truth, found)
    return collect_detection_metrics(
        evaluate_detections(both, both, MetricSettings(task, ("flaw",), np.arange(1), 10, 0))
    )


def test_mask_that_fills_its_box_is_right_as_box_and_wrong_as_mask():
    """45 or 55 of the 100 pixels of the box are the triangle's, as its long side runs through centres."""
    truth = GroundTruth(BOX, CLASS, outlines=(TRIANGLE,))
    found = Detections(BOX, np.array([0.9]), CLASS, masks=(ObjectMask(2, 2, np.ones((10, 10), bool)),))
    result = measured("segment", truth, found)
    test = result["test"]
    assert test["mAP50-95"] == test["mAP50"] == 1.0
    assert test["mask/mAP50-95"] < 0.2
    assert list(test)[:3] == ["mask/mAP50-95", "mask/mAP50-95_low", "mask/mAP50-95_high"]
    assert {"mask/precision", "mask/recall", "mask/F1", "threshold", "objects"} <= set(test)
    assert set(result["per_class"]["flaw"]) == {
        *("mask/AP50-95", "mask/AP50", "mask/precision", "mask/recall", "mask/F1"),
        *("AP50-95", "AP50", "objects"),
    }


def test_rotated_box_with_wrong_angle_is_not_matched():
    around = np.array([[-5, -1], [5, -1], [5, 1], [-5, 1]])
    straight, turned = around + 10.0, around[:, ::-1] + 10.0
    truth = GroundTruth(BOX, CLASS, outlines=(straight,))
    right = Detections(BOX, np.array([0.9]), CLASS, outlines=(straight[::-1],))
    wrong = Detections(BOX, np.array([0.9]), CLASS, outlines=(turned,))
    assert measured("obb", truth, right)["test"]["mAP50-95"] == 1.0
    test = measured("obb", truth, wrong)["test"]
    assert test["mAP50"] == 0.0
    assert not any("/" in name for name in test)


def test_pose_with_swapped_sides_is_right_as_box_and_wrong_as_pose():
    points = np.array([[[7, 3, 2], [3, 11, 2], [11, 11, 2]]], float)
    truth = GroundTruth(BOX, CLASS, keypoints=points)
    found = Detections(BOX, np.array([0.9]), CLASS, keypoints=points[:, [0, 2, 1]])
    test = measured("pose", truth, found)["test"]
    assert test["mAP50-95"] == 1.0
    assert test["pose/mAP50-95"] <= 0.1  # three points have wide tolerances: sigma is 1/3
    assert measured("pose", truth, found._replace(keypoints=points))["test"]["pose/mAP50-95"] == 1.0


def test_detection_metrics_have_fixed_names_and_order():
    test = measured("detect", GroundTruth(BOX, CLASS), Detections(BOX, np.array([0.9]), CLASS))["test"]
    assert list(test) == [
        *("mAP50-95", "mAP50-95_low", "mAP50-95_high", "mAP50", "mAP50_low", "mAP50_high"),
        *("precision", "recall", "F1", "threshold", "threshold_from", "images", "objects"),
    ]


def test_poses_without_labelled_points_are_refused():
    truth = GroundTruth(BOX, CLASS, keypoints=np.zeros((1, 3, 3)))
    found = Detections(BOX, np.array([0.9]), CLASS, keypoints=np.ones((1, 3, 2)))
    with pytest.raises(UserError, match="no object of the test split has a labelled point"):
        measured("pose", truth, found)


def test_selected_detections_keep_similarity_and_outlines_but_no_masks():
    found = Detections(
        np.repeat(BOX, 9, axis=0),
        np.linspace(0.9, 0.1, 9),
        np.zeros(9, np.int64),
        outlines=tuple(TRIANGLE + number for number in range(4)),
        masks=(ObjectMask(2, 2, np.ones((10, 10), bool)),) * 9,
    )
    seen = attach_similarity(GroundTruth(BOX, CLASS, outlines=(TRIANGLE,)), found, "segment", size=SIZE)
    assert seen.masks == ()
    assert seen.overlap.shape == (9, 1)
    kept = seen.select(np.arange(9) % 2 == 1)
    assert kept.scores.tolist() == pytest.approx([0.8, 0.6, 0.4, 0.2])
    assert len(kept.overlap) == 4
    assert [outline.min() for outline in kept.outlines] == [3.0, 5.0]
