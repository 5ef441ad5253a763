"""Average precision by size, and average recall: by hand, and against faster-coco-eval."""

import numpy as np
import pytest

from pipeline.core.detections import Detections, GroundTruth
from pipeline.core.geometry.masks import ObjectMask
from pipeline.evaluate.metrics.average_recall import compute_average_recalls
from pipeline.evaluate.metrics.matching import build_detection_table
from pipeline.evaluate.metrics.similarity import attach_similarity
from pipeline.evaluate.metrics.subsets.object_sizes import compute_size_precisions, measure_areas
from tests import coco_reference

SIZE = (400, 400)


def draw_split(seed, *, images=12, classes=3, masks=False):
    """Objects of all sizes, up to four detections of each, and some elsewhere; sides are whole pixels."""
    rng = np.random.default_rng(seed)
    return zip(*(draw_image(rng, classes, masks=masks) for _ in range(images)), strict=True)


def draw_image(rng, classes, *, masks):
    count = int(rng.integers(0, 8))
    low = rng.integers(0, 200, (count, 2))
    boxes = np.concatenate([low, low + np.exp(rng.uniform(2, 5.2, (count, 2))).round()], axis=1)
    boxes[:1, 2:] = boxes[:1, :2] + 32  # an object on a limit counts in both sizes
    truth = GroundTruth(boxes.astype(float), rng.integers(0, classes, count))
    near = boxes.repeat(4, axis=0) + rng.normal(0, 3, (4 * count, 4)).round()
    other = rng.integers(0, 150, (5, 2))
    found = np.concatenate([near, np.concatenate([other, other + rng.integers(3, 200, (5, 2))], axis=1)])
    found = np.clip(found, 0, 399)
    found[:, 2:] = np.maximum(found[:, 2:], found[:, :2] + 1)
    scores = np.round(np.sort(rng.uniform(0, 1, len(found)))[::-1], 3)
    detections = Detections(found, scores, np.append(truth.classes.repeat(4), rng.integers(0, classes, 5)))
    if not masks:
        return truth, detections
    outlines = tuple(np.array([[a, b], [c, b], [c, d], [a, d]], float) for a, b, c, d in truth.boxes)
    return truth._replace(outlines=outlines), detections._replace(masks=tuple(map(fill, found.astype(int))))


def fill(box):
    x1, y1, x2, y2 = box.tolist()
    return ObjectMask(x1, y1, np.ones((y2 - y1, x2 - x1), bool))


def summarize(truths, found, task, classes=3):
    table = build_detection_table(truths, found, classes)
    sizes = compute_size_precisions(measure_areas(truths, found, task), table)
    recalls = compute_average_recalls(table)
    ours = {name: -1.0 if row.map50_95 is None else row.map50_95 for name, row in sizes.items()}
    return ours | {f"AR{most}": value for most, value in recalls.items()}


@pytest.mark.parametrize("seed", range(8))
def test_boxes_by_size_and_recall_agree_with_the_reference(seed):
    truths, found = draw_split(seed)
    theirs = coco_reference.compute_summary(truths, found, 3, sizes=[SIZE] * len(truths))
    assert summarize(truths, found, "detect") == pytest.approx(theirs, abs=1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_masks_by_size_and_recall_agree_with_the_reference(seed):
    truths, found = draw_split(seed, images=6, masks=True)
    theirs = coco_reference.compute_summary(truths, found, 3, kind="segm", sizes=[SIZE] * len(truths))
    compared = [attach_similarity(*pair, "segment", size=SIZE) for pair in zip(truths, found, strict=True)]
    assert summarize(truths, compared, "segment") == pytest.approx(theirs, abs=1e-9)


def test_sizes_can_be_those_of_the_network_input():
    truth = GroundTruth(np.array([[0.0, 0, 40, 40]]), np.array([0]))
    found = Detections(truth.boxes, np.array([0.9]), truth.classes)
    table = build_detection_table([truth], [found], 1)
    here = compute_size_precisions(measure_areas([truth], [found], "detect"), table)
    there = compute_size_precisions(measure_areas([truth], [found], "detect", scales=[0.5]), table)
    assert [(name, row.map50_95) for name, row in here.items() if row.objects] == [("medium", 1.0)]
    assert [(name, row.map50_95) for name, row in there.items() if row.objects] == [("small", 1.0)]


def test_recall_of_one_detection_per_class_is_half_where_there_are_two_objects():
    truth = GroundTruth(np.array([[0.0, 0, 10, 10], [20, 0, 30, 10]]), np.array([0, 0]))
    found = Detections(truth.boxes, np.array([0.9, 0.8]), truth.classes)
    recalls = compute_average_recalls(build_detection_table([truth], [found], 1))
    assert recalls == {1: 0.5, 10: 1.0, 100: 1.0}


def test_recall_without_objects_is_zero():
    none = GroundTruth(np.zeros((0, 4)), np.zeros(0, np.int64))
    empty = Detections(np.zeros((0, 4)), np.zeros(0), np.zeros(0, np.int64))
    assert set(compute_average_recalls(build_detection_table([none], [empty], 2)).values()) == {0.0}
