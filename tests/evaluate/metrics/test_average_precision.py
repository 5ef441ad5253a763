"""Matching and average precision: by hand, and against faster-coco-eval."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.core.detections import Detections, GroundTruth
from pipeline.evaluate.metrics import average_precision
from pipeline.evaluate.metrics.average_precision import (
    compute_average_precisions,
    compute_mean_ap,
    compute_precision_curve,
)
from pipeline.evaluate.metrics.iou import box_iou
from pipeline.evaluate.metrics.matching import build_detection_table, match_detections
from tests import coco_reference

SQUARE = [0.0, 0.0, 10.0, 10.0]


def objects(*boxes: list[float], classes=None):
    return GroundTruth(np.array(boxes, float).reshape(-1, 4), np.array(classes or [0] * len(boxes), np.int64))


def detections(*boxes: list[float], scores, classes=None):
    found = objects(*boxes, classes=classes)
    return Detections(found.boxes, np.array(scores, float), found.classes)


@pytest.mark.parametrize(
    ("box", "iou"),
    [
        (SQUARE, 1.0),
        ([10, 0, 20, 10], 0.0),
        ([5, 0, 15, 10], 1 / 3),
        ([2, 2, 7, 6], 0.2),
        ([3, 3, 3, 3], 0.0),
    ],
)
def test_box_iou_by_hand(box, iou):
    assert box_iou(np.array([SQUARE]), np.array([box], float)).item() == pytest.approx(iou)


def test_boxes_without_area_have_iou_zero():
    point = np.array([[3.0, 3.0, 3.0, 3.0]])
    assert box_iou(point, point).item() == 0.0


def test_object_is_matched_once_by_the_highest_score():
    found = match_detections(objects(SQUARE), detections(SQUARE, [0, 0, 10, 9], scores=[0.6, 0.9]))
    assert found[:, 0].tolist() == [-1, 0]
    assert found[:, 9].tolist() == [
        0,
        -1,
    ]  # at IoU 0.95 the box of higher score does not match, and the other does


def test_detection_does_not_match_another_class():
    assert (match_detections(objects(SQUARE, classes=[1]), detections(SQUARE, scores=[0.9])) == -1).all()


def test_detection_matches_the_object_with_the_highest_overlap():
    truth = objects([0, 0, 10, 8], SQUARE)
    assert match_detections(truth, detections(SQUARE, scores=[0.9]))[0, 0] == 1


@pytest.mark.parametrize(
    ("truth", "found", "expected"),
    [
        pytest.param([objects(SQUARE)], [detections(SQUARE, scores=[0.3])], 1.0, id="perfect"),
        pytest.param([objects(SQUARE)], [detections(scores=[])], 0.0, id="nothing found"),
        pytest.param([objects(SQUARE)], [detections([50, 50, 60, 60], scores=[0.9])], 0.0, id="beside it"),
        pytest.param([objects()], [detections(SQUARE, scores=[0.9])], np.nan, id="nothing to find"),
        pytest.param(  # recall 1/2 at precision 1: 51 of the 101 recalls
            [objects(SQUARE, [50, 50, 60, 60])], [detections(SQUARE, scores=[0.9])], 51 / 101, id="half"
        ),
        pytest.param(  # the only hit comes second: precision 1/2 at every recall
            [objects(SQUARE)], [detections([50, 50, 60, 60], SQUARE, scores=[0.9, 0.8])], 0.5, id="second"
        ),
        pytest.param([objects(SQUARE)], [detections([0, 0, 10, 8.5], scores=[0.9])], 0.8, id="IoU 0.85"),
    ],
)
def test_average_precision_by_hand(truth, found, expected):
    aps = compute_average_precisions(build_detection_table(truth, found, 1))
    assert aps.mean() == pytest.approx(expected, nan_ok=True)


def test_class_without_objects_is_left_out_of_mean_ap():
    table = build_detection_table(
        [objects(SQUARE)], [detections(SQUARE, SQUARE, scores=[0.9, 0.8], classes=[0, 2])], 3
    )
    assert compute_mean_ap(compute_average_precisions(table)).tolist() == [1.0]


def test_mean_ap_without_objects_is_zero_without_a_warning():
    table = build_detection_table([objects()], [detections(SQUARE, scores=[0.9])], 2)
    assert compute_mean_ap(compute_average_precisions(table)).tolist() == [0.0]


def test_mean_ap_without_images_is_zero():
    assert compute_mean_ap(compute_average_precisions(build_detection_table([], [], 2))).tolist() == [0.0]


@pytest.mark.parametrize("seed", range(12))
def test_agrees_with_faster_coco_eval(seed):
    truth, found = scene(np.random.default_rng(seed), images=12, classes=4)
    agree(truth, found, classes=4)


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**32 - 1), st.integers(1, 6), st.integers(1, 5))
def test_agrees_with_faster_coco_eval_on_any_scene(seed, images, classes):
    truth, found = scene(np.random.default_rng(seed), images=images, classes=classes)
    agree(truth, found, classes=classes)


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**32 - 1), st.lists(st.integers(0, 3), min_size=4, max_size=4))
def test_weight_counts_as_copies_of_an_image(seed, weights):
    truth, found = scene(np.random.default_rng(seed), images=4, classes=3, ties=False)
    times = np.array([weights])
    repeated = [index for index, weight in enumerate(weights) for _ in range(weight)]
    weighted = compute_average_precisions(build_detection_table(truth, found, 3), times)
    copied = compute_average_precisions(
        build_detection_table([truth[i] for i in repeated], [found[i] for i in repeated], 3)
    )
    np.testing.assert_allclose(weighted, copied, atol=1e-12)  # NaN in the same places


@pytest.mark.parametrize("limit", [1, 40, 400])
def test_parts_of_the_weightings_change_no_digit_and_select_each_class_once(monkeypatch, limit):
    table = build_detection_table(*scene(np.random.default_rng(5), images=12, classes=4), 4)
    weights = np.random.default_rng(6).multinomial(12, [1 / 12] * 12, size=9)
    whole = compute_average_precisions(table, weights)
    compute, select, widths, selected = (
        average_precision._compute_class, average_precision._select_rows, [], [],
    )  # fmt: skip
    monkeypatch.setattr(average_precision, "MAX_WEIGHTED_DETECTIONS", limit)
    monkeypatch.setattr(
        average_precision, "_select_rows", lambda *known: selected.append(known) or select(*known)
    )
    monkeypatch.setattr(
        average_precision,
        "_compute_class",
        lambda by_image, *known: widths.append(by_image.shape[1]) or compute(by_image, *known),
    )
    np.testing.assert_array_equal(compute_average_precisions(table, weights), whole)
    classes = int(table.objects.any(axis=0).sum())
    assert len(selected) == classes
    assert sum(widths) == 9 * classes
    assert min(widths) >= 2
    assert (max(widths) < 9) == (limit == 1)


def test_mean_of_the_precision_curve_is_the_average_precision():
    table = build_detection_table(*scene(np.random.default_rng(3), images=10, classes=2), 2)
    aps = compute_average_precisions(table)[0]
    for cls in range(2):
        assert compute_precision_curve(table, cls).mean() == pytest.approx(aps[cls, 0])
        assert compute_precision_curve(table, cls, level=5).mean() == pytest.approx(aps[cls, 5])


def scene(rng, *, images, classes, ties=True):
    """Draw objects, and detections that move, miss, repeat, mistake or invent them; some images are empty."""
    truths, seen = [], []
    for _ in range(images):
        boxes = boxes_of(rng, rng.integers(0, 6))
        kinds = rng.integers(0, classes, len(boxes))
        chosen = rng.integers(0, len(boxes), rng.integers(0, 9)) if len(boxes) else np.zeros(0, int)
        moved = boxes[chosen] + rng.integers(-3, 4, (len(chosen), 4))
        invented = boxes_of(rng, rng.integers(0, 4))
        called = np.concatenate([kinds[chosen], rng.integers(0, classes, len(invented))])
        mistaken = rng.random(len(called)) < 0.1
        called[mistaken] = rng.integers(0, classes, mistaken.sum())
        scores = rng.random(len(called))
        truths.append(GroundTruth(boxes, kinds))
        seen.append(
            Detections(np.concatenate([moved, invented]), scores.round(1) if ties else scores, called)
        )
    return truths, seen


def boxes_of(rng, count):
    corners = rng.integers(0, 80, (count, 2)).astype(float)
    return np.hstack([corners, corners + rng.integers(8, 40, (count, 2))])


def agree(truth, found, *, classes):
    ours = compute_average_precisions(build_detection_table(truth, found, classes))[0]
    theirs = coco_reference.compute_average_precision(truth, found, classes)
    present = build_detection_table(truth, found, classes).objects.any(axis=0)
    np.testing.assert_allclose(ours[present], theirs[present], atol=1e-9)
    assert (theirs[~present] == -1).all()
