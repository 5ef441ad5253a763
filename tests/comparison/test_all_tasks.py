"""Segments, rotated boxes and poses are compared by their own measure, and drawn on the page."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from pipeline.comparison.compare_models import ComparedModel, compare_predictions
from pipeline.comparison.comparison_report import build_report
from pipeline.comparison.models.candidates import Candidate
from pipeline.comparison.page.render_page import render_comparison_page
from pipeline.core.metric_names import get_main_metric
from pipeline.dataset.coco_results import read_stored_predictions, write_stored_predictions
from pipeline.evaluate.metrics.average_precision import compute_mean_ap
from pipeline.iterations.iteration import Iteration
from pipeline.storage.files import hash_file
from tests.dataset.test_coco_results import SIZE, precisions, predicted


def write_image(root, image):
    file = root / "data/prepared/images" / image.file
    file.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(file), np.full((SIZE[1], SIZE[0], 3), 40 + image.id, np.uint8))
    return image._replace(sha256=hash_file(file))


def test_box_figures_of_poses_count_the_objects_without_a_labelled_point():
    full = predicted("pose", images=16)
    cls = next(int(truth.classes[0]) for truth in full.truths if len(truth.classes))
    hidden = [
        truth._replace(keypoints=np.where((truth.classes == cls)[:, None, None], 0.0, truth.keypoints))
        for truth in full.truths
    ]
    half = [found.select(np.arange(len(found.scores)) % 2 == 0) for found in full.detections]
    models = [replace(full, truths=hidden, detections=found) for found in (half, full.detections)]
    found = compare_predictions(*models, labels=("half", "full"), resamples=200, seed=0)
    objects = {each.name: each.objects for each in (found.main, *found.figures)}
    total = sum(len(truth.classes) for truth in full.truths)
    labelled = sum(int(truth.counted.sum()) for truth in hidden)
    assert 0 < labelled < total
    assert (objects["mAP50-95"], objects["mAP50"]) == (total, total)
    assert objects["pose/mAP50-95"] == objects["pose/mAP50"] == labelled


@pytest.mark.parametrize("task", ["segment", "obb", "pose"])
def test_stored_predictions_of_every_task_are_compared(tmp_path, task):
    full = predicted(task, images=16)
    full = replace(full, images=tuple(write_image(tmp_path, image) for image in full.images))
    half = [found.select(np.arange(len(found.scores)) % 2 == 0) for found in full.detections]
    models = []
    for name, found in (("half", replace(full, detections=half)), ("full", full)):
        write_stored_predictions(tmp_path / name, "test", found)
        stored = read_stored_predictions(tmp_path / name, "test")
        models.append(ComparedModel(name, (stored,), (0.2,)))
    candidates = [Candidate(model.label, (Iteration("x", "run", "x"),)) for model in models]
    report = build_report(candidates, models, remarks=[], resamples=200, seed=0)
    (comparison,) = report.comparisons
    assert comparison.main.name == get_main_metric(task)
    expected = [compute_mean_ap(precisions(model.trainings[0])[1][None])[0] for model in models]
    assert [comparison.main.first, comparison.main.second] == pytest.approx(expected)
    assert expected[0] != expected[1]
    assert {"mAP50-95", "mAP50"} <= {each.name for each in (comparison.main, *comparison.figures)}
    assert report.test.groups == 8
    assert render_comparison_page(report, models, tmp_path).count("data:image") >= 3
