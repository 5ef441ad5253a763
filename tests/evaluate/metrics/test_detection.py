"""The evaluation as a whole: what each task is measured by, and what its figures are called."""

import numpy as np
import pytest

from pipeline.core.detections import Detections, GroundTruth
from pipeline.core.errors import UserError
from pipeline.core.geometry.masks import ObjectMask
from pipeline.evaluate.metrics.detection import MetricSettings, SplitPredictions, evaluate, figures
from pipeline.evaluate.metrics.similarity import weigh

BOX = np.array([[2.0, 2.0, 12.0, 12.0]])
TRIANGLE = np.array([[2.0, 2.0], [12.0, 2.0], [2.0, 12.0]])
CLASS = np.array([0])
SIZE = (20, 20)


def split(task, truth, found):
    return SplitPredictions([truth], [weigh(truth, found, task, size=SIZE)])


def measured(task, truth, found):
    both = split(task, truth, found)
    return figures(evaluate(both, both, MetricSettings(task, ("flaw",), 0, 0)))


def test_a_mask_that_fills_the_box_of_a_triangle_is_half_right():
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


def test_a_box_that_is_turned_wrongly_is_not_found():
    around = np.array([[-5, -1], [5, -1], [5, 1], [-5, 1]])
    straight, turned = around + 10.0, around[:, ::-1] + 10.0
    truth = GroundTruth(BOX, CLASS, outlines=(straight,))
    right = Detections(BOX, np.array([0.9]), CLASS, outlines=(straight[::-1],))
    wrong = Detections(BOX, np.array([0.9]), CLASS, outlines=(turned,))
    assert measured("obb", truth, right)["test"]["mAP50-95"] == 1.0
    test = measured("obb", truth, wrong)["test"]
    assert test["mAP50"] == 0.0
    assert not any("/" in name for name in test)


def test_a_pose_with_left_and_right_exchanged_is_hardly_right_and_its_box_is():
    points = np.array([[[7, 3, 2], [3, 11, 2], [11, 11, 2]]], float)
    truth = GroundTruth(BOX, CLASS, keypoints=points)
    found = Detections(BOX, np.array([0.9]), CLASS, keypoints=points[:, [0, 2, 1]])
    test = measured("pose", truth, found)["test"]
    assert test["mAP50-95"] == 1.0
    assert test["pose/mAP50-95"] <= 0.1  # three points have wide tolerances: sigma is 1/3
    assert measured("pose", truth, found._replace(keypoints=points))["test"]["pose/mAP50-95"] == 1.0


def test_detection_keeps_its_names_and_their_order():
    test = measured("detect", GroundTruth(BOX, CLASS), Detections(BOX, np.array([0.9]), CLASS))["test"]
    assert list(test) == [
        *("mAP50-95", "mAP50-95_low", "mAP50-95_high", "mAP50", "mAP50_low", "mAP50_high"),
        *("precision", "recall", "F1", "threshold", "threshold_from", "images", "objects"),
    ]


def test_poses_without_a_labelled_point_leave_nothing_to_measure():
    truth = GroundTruth(BOX, CLASS, keypoints=np.zeros((1, 3, 3)))
    found = Detections(BOX, np.array([0.9]), CLASS, keypoints=np.ones((1, 3, 2)))
    with pytest.raises(UserError, match="no object of the test split has a labelled point"):
        measured("pose", truth, found)


def test_masks_are_not_kept_and_outlines_are_those_of_the_first_whatever_is_chosen():
    found = Detections(
        np.repeat(BOX, 9, axis=0),
        np.linspace(0.9, 0.1, 9),
        np.zeros(9, np.int64),
        outlines=tuple(TRIANGLE + number for number in range(4)),
        masks=(ObjectMask(2, 2, np.ones((10, 10), bool)),) * 9,
    )
    seen = weigh(GroundTruth(BOX, CLASS, outlines=(TRIANGLE,)), found, "segment", size=SIZE)
    assert seen.masks == ()
    assert seen.overlap.shape == (9, 1)
    kept = seen.only(np.arange(9) % 2 == 1)
    assert kept.scores.tolist() == pytest.approx([0.8, 0.6, 0.4, 0.2])
    assert len(kept.overlap) == 4
    assert [outline.min() for outline in kept.outlines] == [3.0, 5.0]
