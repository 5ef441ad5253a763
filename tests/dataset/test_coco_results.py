"""Stored predictions: read back to the last bit, and read by COCO's own tools with the same result."""

import json
import logging

import numpy as np
import pytest
from faster_coco_eval import COCO, COCOeval_faster

from pipeline.core.detections import Detections, GroundTruth
from pipeline.core.errors import UserError
from pipeline.core.geometry.masks import ObjectMask
from pipeline.core.tasks import Keypoints
from pipeline.dataset.coco_results import read_stored_predictions, write_stored_predictions
from pipeline.dataset.coco_rows import round_detections, round_objects
from pipeline.dataset.stored_predictions import PredictedImage, StoredPredictions
from pipeline.evaluate.metrics.average_precision import compute_average_precisions
from pipeline.evaluate.metrics.matching import build_detection_table
from pipeline.evaluate.metrics.similarity import attach_similarity

NAMES = ("disc", "square", "bär")
SIZE = (160, 90)
POINTS = Keypoints(("left", "right"), (1, 0))
KINDS = {"detect": "bbox", "segment": "segm", "pose": "keypoints"}


def predicted(task, images=12, *, seed=0):
    """Objects at random places, detections near them and elsewhere; of segment with masks."""
    rng = np.random.default_rng(seed)
    pairs = [draw_image(task, rng, objects=number % 4) for number in range(images)]
    return StoredPredictions(
        task,
        NAMES,
        "d" * 64,
        "e" * 64,
        tuple(describe_image(number) for number in range(images)),
        truths=[truth for truth, _ in pairs],
        detections=[found for _, found in pairs],
        keypoints=POINTS if task == "pose" else None,
    )


def describe_image(number):
    return PredictedImage(
        number + 1,
        f"test/part_{number}.jpg",
        "a" * 64,
        "b" * 64,
        *SIZE,
        f"source/part {number}.jpg",
        f"group {number // 2}",
        slices=("brightness=low",) if number % 2 else (),
    )


def draw_image(task, rng, *, objects):
    low = rng.uniform(0, 40, (objects, 2))
    boxes = np.concatenate([low, low + rng.uniform(4, 45, (objects, 2))], axis=1)
    near = np.clip(boxes.repeat(3, axis=0) + rng.normal(0, 2, (3 * objects, 4)), 0, 89)
    found = np.concatenate([near, [[3.0, 4.0, 30.0, 40.0]]])
    found[:, 2:] = np.maximum(found[:, 2:], found[:, :2] + 1)
    scores = np.sort(rng.uniform(0.001, 1, len(found)))[::-1]
    truth = GroundTruth(boxes, rng.integers(0, 3, objects))
    classes = np.append(truth.classes.repeat(3), 0)
    return add_shapes(task, truth, Detections(found, scores, classes))


def add_shapes(task, truth, found):
    rings, others = [corners(truth.boxes), corners(found.boxes)]
    if task == "obb":
        return truth._replace(outlines=rings), found._replace(outlines=others)
    if task == "segment":
        return truth._replace(outlines=rings), found._replace(masks=tuple(map(fill, found.boxes)))
    if task == "pose":
        visible = np.tile([2.0, 1.0], (len(truth.boxes), 1))
        visible[:1] = 0  # an object without a labelled point does not count
        points = np.dstack([truth.boxes.reshape(-1, 2, 2), visible])
        confidence = np.full((len(found.boxes), 2), 0.51234567)
        return truth._replace(keypoints=points), found._replace(
            keypoints=np.dstack([found.boxes.reshape(-1, 2, 2), confidence])
        )
    return truth, found


def corners(boxes):
    return tuple(np.array([[x1, y1], [x2, y1], [x2, y2 + 1], [x1, y2]]) for x1, y1, x2, y2 in boxes)


def fill(box):
    x1, y1, x2, y2 = box.astype(int)
    return ObjectMask(int(x1), int(y1), np.ones((y2 - y1 + 1, x2 - x1 + 1), bool))


def precisions(stored):
    pairs = zip(stored.truths, stored.detections, strict=True)
    found = [attach_similarity(truth, each, stored.task, size=SIZE) for truth, each in pairs]
    table = build_detection_table(stored.truths, found, len(NAMES))
    return table.objects, compute_average_precisions(table)[0]


def rounded(stored):
    truths = tuple(round_objects(truth) for truth in stored.truths)
    return StoredPredictions(
        **{
            **vars(stored),
            "truths": truths,
            "detections": tuple(round_detections(found) for found in stored.detections),
        }
    )


def assert_same(first, second):
    """Compare named tuples of arrays, to the last bit."""
    for name, here, there in zip(first._fields, first, second, strict=True):
        if name in {"outlines", "masks"}:
            assert len(here) == len(there)
            for one, other in zip(here, there, strict=True):
                np.testing.assert_equal(one, other)
        else:
            np.testing.assert_equal(here, there, err_msg=name)


@pytest.mark.parametrize("task", ["detect", "segment", "obb", "pose"])
def test_what_was_written_is_read_to_the_last_bit(tmp_path, task):
    stored = predicted(task)
    write_stored_predictions(tmp_path, "val", stored)
    found = read_stored_predictions(tmp_path, "val")
    expected = rounded(stored)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["val.json", "val_truth.json"]
    for name in ("task", "names", "data", "weights", "images", "keypoints"):
        assert getattr(found, name) == getattr(expected, name)
    for pair in zip(found.truths, expected.truths, strict=True):
        assert_same(*pair)
    for pair in zip(found.detections, expected.detections, strict=True):
        assert_same(*pair)
    np.testing.assert_array_equal(precisions(found)[1], precisions(expected)[1])


@pytest.mark.parametrize("task", KINDS)
def test_coco_tools_find_the_same_average_precision_in_the_files(tmp_path, task):
    logging.getLogger("faster_coco_eval").setLevel(logging.ERROR)
    stored = predicted(task, 40)
    write_stored_predictions(tmp_path, "test", stored)
    known = COCO(str(tmp_path / "test_truth.json"))
    results = json.loads((tmp_path / "test.json").read_text())
    if task == "segment":
        results = [{key: row[key] for key in row if key != "bbox"} for row in results]
    run = COCOeval_faster(known, known.loadRes(results), KINDS[task], print_function=lambda *_: None)
    if task == "pose":
        run.params.kpt_oks_sigmas = np.array([0.5, 0.5])
    run.params.maxDets = [300] if task == "pose" else [1, 10, 300]
    run.evaluate()
    run.accumulate()
    theirs = run.eval["precision"][:, :, :, 0, -1].mean(axis=1).T
    objects, ours = precisions(read_stored_predictions(tmp_path, "test"))
    present = objects.any(axis=0)
    assert present.all()
    assert 0.05 < ours.mean() < 0.95
    np.testing.assert_allclose(ours, theirs, atol=1e-9)


@pytest.mark.parametrize("classes", [3, 250])
def test_probabilities_are_read_back_to_the_last_bit(tmp_path, classes):
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 6, (20, classes)).astype(np.float32)
    raw = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    names = tuple(f"class {number}" for number in range(classes))
    images = tuple(describe_image(number)._replace(cls=number % 3) for number in range(20))
    stored = StoredPredictions(
        "classify", names, "d" * 64, "e" * 64, images, probabilities=raw.astype(np.float64)
    )
    write_stored_predictions(tmp_path, "val", stored)
    found = read_stored_predictions(tmp_path, "val")
    assert [path.name for path in tmp_path.iterdir()] == ["val_probabilities.json"]
    assert (found.images, found.names, found.task) == (images, names, "classify")
    kept = np.where(raw >= np.sort(raw, axis=1)[:, [-min(100, classes)]], raw, 0).astype(np.float64)
    np.testing.assert_array_equal(found.probabilities, kept)


def test_images_without_detections_and_objects_are_kept(tmp_path):
    none = Detections(np.zeros((0, 4)), np.zeros(0), np.zeros(0, np.int64))
    truth = GroundTruth(np.zeros((0, 4)), np.zeros(0, np.int64))
    stored = StoredPredictions(
        "detect", NAMES, "d", "e", (describe_image(0),), truths=[truth], detections=[none]
    )
    write_stored_predictions(tmp_path, "val", stored)
    assert json.loads((tmp_path / "val.json").read_text()) == []
    found = read_stored_predictions(tmp_path, "val")
    assert [len(each.scores) for each in found.detections] == [0]
    assert [len(each.classes) for each in found.truths] == [0]


def test_predictions_that_are_absent_are_refused(tmp_path):
    with pytest.raises(UserError, match="no predictions on val"):
        read_stored_predictions(tmp_path, "val")


@pytest.mark.fault(11, "files with predictions that were cut or changed are not used")
@pytest.mark.parametrize("file", ["val.json", "val_truth.json"])
@pytest.mark.parametrize("change", [lambda text: text[: len(text) // 2], lambda text: text.replace("9", "8")])
def test_damaged_files_are_refused(tmp_path, file, change):
    write_stored_predictions(tmp_path, "val", predicted("segment"))
    path = tmp_path / file
    path.write_text(change(path.read_text()))
    if file == "val_truth.json" and change("9") == "8":
        path.write_text(path.read_text().replace('"task":', '"tusk":'))
    with pytest.raises(UserError, match="cannot be read as predictions"):
        read_stored_predictions(tmp_path, "val")


@pytest.mark.fault(13, "predictions that cannot be written to the end do not replace complete ones")
def test_failed_write_leaves_the_earlier_files(tmp_path):
    write_stored_predictions(tmp_path, "val", predicted("detect"))
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    broken = predicted("detect", seed=1)
    broken.detections[-1].scores[0] = np.nan
    with pytest.raises(ValueError, match="JSON"):
        write_stored_predictions(tmp_path, "val", broken)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before
