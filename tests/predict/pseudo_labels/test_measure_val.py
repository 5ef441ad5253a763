"""What pseudo-labels are worth on val, and the refusal of a teacher that is not good enough."""

import numpy as np
import pytest

from pipeline.core.detections import Detections, GroundTruth
from pipeline.core.errors import UserError
from pipeline.evaluate.metrics.classification import ClassScores
from pipeline.evaluate.metrics.detection import SplitPredictions
from pipeline.predict.pseudo_labels.measure_val import (
    choose_half,
    measure_teacher,
    require_good_teacher,
)
from pipeline.predict.pseudo_labels.thresholds import PseudoLabelRule

NAMES = ("disc", "bar")
BOXES = np.array([[10, 10, 30, 30], [50, 50, 90, 90]], np.float64)


def build_split(images, *, score=0.9, missed=0, wrong=0):
    """Return images with a disc and a bar, all found but the bar in `missed`, and beside it in `wrong`."""
    classes = np.array([0, 1])
    truths = [GroundTruth(BOXES, classes)] * images
    found = []
    for number in range(images):
        boxes, kept = BOXES.copy(), np.ones(2, bool)
        if number < missed:
            kept[1] = False
        elif number < missed + wrong:
            boxes[1] += 45
        found.append(Detections(boxes[kept], np.full(kept.sum(), score), classes[kept]))
    return SplitPredictions(truths, found)


def measure(split, groups=None, **rule):
    groups = groups or list(map(str, range(len(split.truths))))
    thresholds = measure_teacher(split, NAMES, PseudoLabelRule(**rule), groups=groups, max_det=300)
    require_good_teacher(thresholds, NAMES)
    return thresholds


def test_a_good_teacher_labels_all_images():
    found = measure(build_split(30))
    assert [each.accepted for each in found.classes] == [0.9, 0.9]
    assert found.val == (30, 30, 60, 60, 60)
    assert (found.val.precision, found.val.recall) == (1.0, 1.0)


def test_frames_of_one_scene_are_in_one_half():
    with pytest.raises(UserError):  # nothing is left to choose thresholds on
        measure(build_split(60), groups=["scene"] * 60)
    scenes = ["a"] * 30 + ["b"] * 20 + ["c"] * 10
    assert choose_half(scenes).tolist() == [True] * 30 + [False] * 30
    assert measure(build_split(60), groups=scenes).val.images == 60


def test_missed_objects_are_measured_and_refused():
    split = build_split(40, missed=12)
    assert measure(split, recall=0.8).val == (40, 40, 68, 68, 80)
    with pytest.raises(UserError, match="85% of the objects"):
        measure(split, recall=0.9)


@pytest.mark.fault(3, "pseudo-labels of a teacher that val says too little of")
@pytest.mark.parametrize(
    ("split", "reason"),
    [
        (build_split(9), "no class"),  # 9 detections of each class
        (build_split(40, wrong=40), "50% of the objects"),  # the bars, which have no labels
        (SplitPredictions([], []), "no class"),
    ],
)
def test_a_teacher_without_evidence_is_refused(split, reason):
    with pytest.raises(UserError, match=reason):
        measure(split)


def test_few_val_images_are_refused_though_each_has_many_objects():
    boxes = np.array([[10 * n, 0, 10 * n + 8, 8] for n in range(30)], np.float64)
    classes = np.zeros(30, np.int64)
    truth, found = GroundTruth(boxes, classes), Detections(boxes, np.full(30, 0.9), classes)
    with pytest.raises(UserError, match="only 2 of 2 val images"):
        measure(SplitPredictions([truth] * 2, [found] * 2))


def test_scores_that_chance_chose_are_refused_by_the_other_half():
    rng = np.random.default_rng(3)
    truth = GroundTruth(BOXES[:1], np.zeros(1, np.int64))
    found = []
    for _ in range(60):
        boxes = BOXES[:1] + 100 * (rng.random() < 0.4)  # 60% right, whatever the score is
        found.append(Detections(boxes, np.round(rng.uniform(0.3, 1, 1), 5), np.zeros(1, np.int64)))
    split = SplitPredictions([truth] * 60, found)
    groups = list(map(str, range(60)))
    thresholds = measure_teacher(split, NAMES, PseudoLabelRule(0.75, 0.1, 4), groups=groups, max_det=300)
    chosen = thresholds.classes[0]
    assert chosen.right / chosen.detections > 0.75
    assert thresholds.val.precision < 0.7
    with pytest.raises(UserError, match="on the other half"):
        require_good_teacher(thresholds, NAMES)


def test_images_that_are_classified_have_one_label_each():
    truth = np.array([0] * 25 + [1] * 25)
    predicted = np.where(np.arange(50) < 45, truth, 0)  # the last 5 bars are called discs
    scores = np.where(np.arange(50) < 45, 0.9, 0.7)
    split = ClassScores(truth, np.stack([predicted, 1 - predicted], 1), np.stack([scores, 1 - scores], 1))
    found = measure(split, list(map(str, range(50))))
    assert [each.accepted for each in found.classes] == [0.9, 0.9]
    assert found.val == (50, 45, 45, 45, 45)
