"""Compare models with a known skill: figures as evaluate has them, verdicts, groups, seeds, refusals."""

import json
from dataclasses import replace

import numpy as np
import pytest

from pipeline.comparison.compare_models import ComparedModel, compare_models, compare_predictions
from pipeline.core.detections import Detections, GroundTruth
from pipeline.core.errors import UserError
from pipeline.evaluate.details import measure_details
from pipeline.evaluate.metrics.classification import (
    ClassScores,
    collect_classification_metrics,
    evaluate_classification,
    select_top_classes,
)
from pipeline.evaluate.metrics.detection import (
    MetricSettings,
    SplitPredictions,
    collect_detection_metrics,
    evaluate_detections,
)
from tests.comparison.stored import draw_classifications, draw_detections, list_images

NO_FIGURES = {
    "mAP50-95", "threshold", "threshold_from", "images", "objects", "worst_slice", "mAP50-95_worst_slice",
    *(f"{name}_{bound}" for name in ("mAP50-95", "mAP50") for bound in ("low", "high")),
}  # fmt: skip


def compare(first, second, **how):
    return compare_predictions(first, second, labels=("A", "B"), **{"resamples": 300, "seed": 0, **how})


def evaluate(found):
    split = SplitPredictions(found.truths, found.detections)
    return evaluate_detections(
        split, split, MetricSettings("detect", found.names, np.arange(len(split.truths)), 0, 0)
    )


def collect_all(found, result):
    """Return what metrics.json holds."""
    split = SplitPredictions(found.truths, found.detections)
    details = measure_details(result, split, found.images, scales=[1.0] * len(found.images))
    metrics = collect_detection_metrics(result)
    return {**metrics, "test": {**metrics["test"], **details.metrics}}


@pytest.fixture(scope="module")
def detectors():
    return draw_detections(60, skill=0.6), draw_detections(60, skill=0.9, seed=1)


def test_figures_of_detection_are_those_of_metrics_json(detectors):
    results = [evaluate(found) for found in detectors]
    models = [
        ComparedModel(label, (found,), (result.threshold,))
        for label, found, result in zip("AB", detectors, results, strict=True)
    ]
    comparison = compare_models(models, resamples=200, seed=0)[0]
    metrics = [collect_all(found, result) for found, result in zip(detectors, results, strict=True)]
    for each in (comparison.main, *comparison.figures):
        assert [each.first, each.second] == pytest.approx(
            [found["test"][each.name] for found in metrics], abs=1e-5
        )
    assert {each.name for each in comparison.figures} == set(metrics[0]["test"]) - NO_FIGURES
    for each in comparison.classes:
        assert each.second == pytest.approx(metrics[1]["per_class"][each.name]["AP50-95"], abs=1e-5)
        assert each.objects == metrics[1]["per_class"][each.name]["objects"]


def test_figures_of_classification_are_those_of_metrics_json():
    found = [draw_classifications(80, skill=skill, seed=seed) for seed, skill in enumerate((0.6, 0.8))]
    comparison = compare(*found)
    truth = np.array([image.cls for image in found[1].images])
    result = evaluate_classification(
        ClassScores(truth, *select_top_classes(found[1].probabilities)),
        found[1].names,
        np.arange(len(truth)),
        resamples=0,
        seed=0,
    )
    metrics = collect_classification_metrics(result)
    metrics["test"] |= measure_details(result, result.scores, found[1].images, scales=[]).metrics
    assert comparison.main.name == "top1"
    for each in (comparison.main, *comparison.figures):
        assert each.second == pytest.approx(metrics["test"][each.name], abs=1e-5)
    assert {each.name: each.second for each in comparison.classes} == pytest.approx(
        {name: row["recall"] for name, row in metrics["per_class"].items()}, abs=1e-5
    )


def test_a_better_model_is_called_better_with_its_interval(detectors):
    comparison = compare(*detectors)
    assert comparison.verdict == "better"
    assert 0 < comparison.main.low < comparison.main.difference < comparison.main.high
    assert comparison.main.p_value < 0.001
    assert comparison.needed_images is None
    low, high = comparison.main.low, comparison.main.high
    assert comparison.sentence == f"B is better: {comparison.main.difference:+.3f} ({low:.3f} to {high:.3f})"


def test_exchanged_models_give_the_mirrored_interval(detectors):
    one, other = compare(*detectors), compare(*reversed(detectors))
    assert other.verdict == "worse"
    assert [other.main.low, other.main.high] == pytest.approx([-one.main.high, -one.main.low])


def test_equal_predictions_have_no_difference(detectors):
    comparison = compare(detectors[0], detectors[0])
    assert (comparison.main.low, comparison.main.high, comparison.main.p_value) == (0, 0, 1)
    assert comparison.verdict == "no difference shown"
    assert "scores the same on all 60 images" in comparison.sentence


def test_a_difference_that_is_not_shown_says_how_many_images_would_show_it():
    comparison = compare(draw_detections(20, skill=0.7), draw_detections(20, skill=0.75, seed=1))
    assert comparison.verdict == "no difference shown"
    assert comparison.needed_images > 20
    assert f"20 images could show (needs about {comparison.needed_images:,})" in comparison.sentence


def test_the_order_of_images_does_not_matter(detectors):
    first, second = detectors
    order = np.random.default_rng(0).permutation(60)
    shuffled = replace(
        second,
        images=tuple(second.images[place] for place in order),
        truths=[second.truths[place] for place in order],
        detections=[second.detections[place] for place in order],
    )
    assert compare(first, shuffled) == compare(first, second)


def test_slices_have_their_own_differences(detectors):
    comparison = compare(*detectors)
    found = {each.name: each for each in comparison.slices}
    assert set(found) == {"brightness=low", "brightness=high"}
    assert found["brightness=low"].images == 30
    dark = [evaluate(select(model, slice(1, None, 2))) for model in detectors]
    expected = [collect_detection_metrics(result)["test"]["mAP50-95"] for result in dark]
    assert [found["brightness=low"].first, found["brightness=low"].second] == pytest.approx(
        expected, abs=1e-5
    )


def select(found, images):
    return replace(found, truths=found.truths[images], detections=found.detections[images])


def test_copies_in_groups_widen_the_interval():
    copied = [draw_detections(90, skill=skill, seed=seed, copies=3) for seed, skill in enumerate((0.6, 0.7))]
    ungrouped = [
        replace(found, images=tuple(image._replace(group=image.file) for image in found.images))
        for found in copied
    ]
    grouped, single = compare(*copied).main, compare(*ungrouped).main
    assert grouped.first == single.first
    assert grouped.high - grouped.low > 1.4 * (single.high - single.low)


def test_trainings_of_one_configuration_are_pooled():
    models = [
        ComparedModel(
            label, tuple(draw_detections(50, skill=skill, seed=10 * place + seed) for seed in range(3))
        )
        for place, (label, skill) in enumerate((("A", 0.6), ("B", 0.9)))
    ]
    pooled = compare_models(models, resamples=300, seed=0)[0]
    single = [compare(*pair).main for pair in zip(models[0].trainings, models[1].trainings, strict=True)]
    assert pooled.main.first == pytest.approx(np.mean([each.first for each in single]))
    assert pooled.main.second == pytest.approx(np.mean([each.second for each in single]))
    assert pooled.verdict == "better"


def test_the_seeds_of_a_third_model_widen_the_interval_of_two_single_trainings():
    one, two = draw_detections(50, skill=0.6), draw_detections(50, skill=0.7, seed=1)
    seeds = tuple(draw_detections(50, skill=skill, seed=7) for skill in (0.4, 0.6, 0.8))
    models = [ComparedModel(*each) for each in (("A", (one,)), ("B", (two,)), ("C", seeds))]
    alone, beside = (compare_models(found, resamples=300, seed=0)[0] for found in (models[:2], models))
    widths = [
        {row.name: row.high - row.low for row in (found.main, *found.classes, *found.slices)}
        for found in (alone, beside)
    ]
    for name, width in widths[0].items():
        assert widths[1][name] > 1.2 * width


def test_p_values_of_several_models_are_adjusted(detectors):
    first, second = detectors
    third = draw_detections(60, skill=0.62, seed=5)
    alone = compare(first, third)
    models = [
        ComparedModel(label, (found,)) for label, found in zip("ABC", (first, second, third), strict=True)
    ]
    both = compare_models(models, resamples=300, seed=0)
    assert [each.second for each in both] == ["B", "C"]
    assert both[1].main[:5] == alone.main[:5]
    assert both[1].main.p_value >= alone.main.p_value
    assert both[0].main.p_value == pytest.approx(2 * compare(first, second).main.p_value, rel=1e-6)


def test_classes_that_are_shown_come_first_and_then_the_largest_changes(detectors):
    comparison = compare(*detectors)
    keys = [(each.p_value >= 0.05, -abs(each.difference)) for each in comparison.classes]
    assert keys == sorted(keys)


def test_a_class_in_one_image_alone_is_no_evidence(detectors):
    names = (*detectors[0].names, "rare")
    rare = [replace(found, names=names, truths=[*found.truths]) for found in detectors]
    for found in rare:
        found.truths[0] = found.truths[0]._replace(classes=np.full_like(found.truths[0].classes, 3))
    row = next(each for each in compare(*rare).classes if each.name == "rare")
    assert (row.low, row.high, row.p_value, row.images) == (-1, 1, 1, 1)


def make_perfect(found):
    """Return the predictions of a model that finds all objects, and nothing else."""
    detections = [
        Detections(truth.boxes, np.full(len(truth.classes), 0.9), truth.classes) for truth in found.truths
    ]
    return replace(found, detections=detections)


def make_blind(found):
    """Return the predictions of a model that finds nothing."""
    nothing = Detections(np.zeros((0, 4)), np.zeros(0), np.zeros(0, np.int64))
    return replace(found, detections=[nothing] * len(found.images))


@pytest.mark.parametrize("copies", [1, 2])
def test_a_perfect_model_is_better_than_one_that_finds_nothing(copies):
    found = draw_detections(60, skill=0.5, copies=copies)
    comparison = compare(make_blind(found), make_perfect(found))
    assert comparison.verdict == "better"
    assert 0.4 < comparison.main.low < comparison.main.high == 1
    assert all(row.p_value < 0.01 for row in comparison.classes)
    json.dumps(comparison, allow_nan=False)


@pytest.mark.parametrize(("classes", "is_there"), [(3, False), (5, False), (6, True)])
def test_the_first_five_of_five_classes_are_no_figure(classes, is_there):
    names = tuple(f"c{number}" for number in range(classes))
    found = draw_classifications(30, skill=0.7)
    padded = np.pad(found.probabilities, ((0, 0), (0, classes - 3)))
    comparison = compare(*(replace(found, names=names, probabilities=padded) for _ in range(2)))
    assert ("top5" in {each.name for each in comparison.figures}) is is_there


def test_two_classifiers_without_an_error_are_not_shown_to_be_equal():
    right = draw_classifications(60, skill=1.0)
    found = compare(right, right)
    assert found.main.high == -found.main.low == pytest.approx(0.06, abs=0.002)
    for row in (found.main, *found.classes, *found.slices):
        assert (row.difference, row.p_value) == (0, 1)
        assert row.high == -row.low == pytest.approx(1 - 0.025 ** (1 / row.images), abs=0.002)


def test_detectors_that_both_find_everything_are_not_shown_to_be_equal():
    right = make_perfect(draw_detections(40, skill=0.5))
    found = compare(right, right)
    for row in (*found.classes, *found.slices):
        assert (row.first, row.difference, row.p_value) == (1, 0, 1)
        assert row.high == -row.low == pytest.approx(1 - 0.025 ** (1 / row.images), abs=0.002)


@pytest.mark.parametrize("make", [make_perfect, make_blind])
def test_equal_outcomes_of_three_images_do_not_show_that_detectors_are_equal(make):
    both = make(draw_detections(3, skill=0.5))
    found = compare(both, both)
    for row in (found.main, *found.classes):
        assert row.high == -row.low == pytest.approx(1 - 0.025 ** (1 / row.images))


def add_background(found, count):
    """Return the same predictions, with further images that have no object and no detection."""
    images = list_images(len(found.images) + count)[-count:]
    boxes, labels = np.zeros((0, 4)), np.zeros(0, np.int64)
    return replace(
        found,
        images=(*found.images, *images),
        truths=[*found.truths, *[GroundTruth(boxes, labels)] * count],
        detections=[*found.detections, *[Detections(boxes, np.zeros(0), labels)] * count],
    )


@pytest.mark.parametrize("objects", [1, 3, 5])
def test_images_without_an_object_are_no_evidence(objects):
    alone = draw_detections(objects, skill=0.5)
    pairs = [(make_blind(each), make_perfect(each)) for each in (alone, add_background(alone, 60))]
    few, with_background = (compare(*pair) for pair in pairs)
    for found in (few, with_background):
        for row in (found.main, *(each for each in found.figures if each.name != "ECE")):
            assert row.p_value >= min(1, 2.0 ** (1 - objects))
        assert found.verdict == "no difference shown"
        assert all(row.p_value >= min(1, 2.0 ** (1 - row.images)) for row in found.classes)


def test_images_of_a_slice_without_an_object_are_no_evidence():
    alone = add_background(draw_detections(2, skill=0.5), 60)
    found = compare(make_blind(alone), make_perfect(alone))
    assert {row.objects > 0 for row in found.slices} == {True}
    assert [(row.p_value, row.low, row.high) for row in found.slices] == [(1, -1, 1)] * len(found.slices)


def test_results_are_finite_json(detectors):
    comparison = compare(*detectors)
    json.dumps(comparison, allow_nan=False)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda found: replace(found, names=("x", "y", "z")), "classes"),
        (lambda found: replace(found, names=found.names[::-1]), "another order.*--on"),
        (lambda found: replace(found, task="obb"), "task"),
        (lambda found: replace(select(found, slice(50)), images=found.images[:50]), "--on"),
        (
            lambda found: replace(
                found, images=tuple(image._replace(labels_sha256="0") for image in found.images)
            ),
            "different labels",
        ),
    ],
)
@pytest.mark.fault(13, "predictions on other test data, or of other classes, are compared")
def test_what_cannot_be_compared_is_refused(detectors, change, word):
    with pytest.raises(UserError, match=word):
        compare(detectors[0], change(detectors[1]))
