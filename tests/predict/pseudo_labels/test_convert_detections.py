"""Detections as labels: what is written is what was found, and `prepare` takes it as it is."""

import numpy as np
import pytest

from pipeline.core.annotations import RawObjects
from pipeline.core.detections import Detections
from pipeline.core.geometry.masks import ObjectMask, rasterize_outline
from pipeline.dataset.labels import format_labels, parse_labels, xywhn_to_xyxy
from pipeline.predict.pseudo_labels.convert_detections import convert_class, convert_detections
from pipeline.prepare.annotations.check import TaskRequirements, check_objects

SIZE = (100, 80)
BOXES = np.array([[10, 10, 50, 40], [60, 20, 90, 70]], np.float64)
FOUND = Detections(BOXES, np.array([0.9, 0.8]), np.array([1, 0]))


def write_and_read(found, task):
    labels = convert_detections(found, task, SIZE)
    return None if labels is None else parse_labels(format_labels(labels, task), task)


def check(labels, task, points=0):
    """Return the objects as `prepare` checks them, and its findings."""
    size = np.array(SIZE, np.float64)
    raw = RawObjects(
        labels.classes,
        xywhn_to_xyxy(labels.boxes, *SIZE),
        tuple("ab"[: len(labels)]),
        tuple((outline * size,) for outline in labels.outlines),
        tuple(each * [*size, 1] for each in labels.keypoints),
    )
    checked = check_objects(raw, TaskRequirements(task, 2, points), size=SIZE)
    return checked, checked.notes


def test_boxes_are_kept():
    labels = write_and_read(FOUND, "detect")
    checked, notes = check(labels, "detect")
    assert np.allclose(checked.boxes, BOXES, atol=1e-3)
    assert (checked.classes.tolist(), notes) == ([1, 0], ())


def test_masks_are_outlined_exactly_with_all_their_pieces():
    pixels = np.zeros((30, 40), bool)
    pixels[:10, :12] = pixels[15:, 20:] = True
    masks = (ObjectMask(10, 10, pixels), ObjectMask(60, 20, np.ones((50, 30), bool)))
    labels = write_and_read(FOUND._replace(masks=masks), "segment")
    checked, _ = check(labels, "segment")
    for mask, outline in zip(masks, checked.outlines, strict=True):
        filled = rasterize_outline(outline, SIZE)
        whole = np.zeros((SIZE[1], SIZE[0]), bool)
        expected = whole.copy()
        for canvas, part in ((whole, filled), (expected, mask)):
            height, width = part.pixels.shape
            canvas[part.top : part.top + height, part.left : part.left + width] = part.pixels
        assert (whole != expected).sum() <= 2


def test_rotated_boxes_keep_their_corners():
    ring = np.array([[30, 10], [50, 30], [40, 40], [20, 20]], np.float64)
    labels = write_and_read(FOUND._replace(outlines=(ring, ring + np.array([40, 20]))), "obb")
    checked, notes = check(labels, "obb")
    assert np.allclose(checked.outlines[0], ring, atol=1e-3)
    assert notes == ()


@pytest.mark.parametrize("dims", [2, 3])
def test_points_that_are_not_sure_or_outside_are_not_labelled(dims):
    points = np.array([[[20, 20, 0.9], [30, 30, 0.3]], [[70, 30, 0.6], [120, 30, 0.9]]])[:, :, :dims]
    labels = write_and_read(FOUND._replace(keypoints=points), "pose")
    checked, notes = check(labels, "pose", points=2)
    seen = np.array(checked.keypoints)[:, :, 2].tolist()
    assert seen == ([[2, 2], [2, 0]] if dims == 2 else [[2, 0], [2, 0]])
    assert np.allclose(checked.keypoints[0][0][:2], [20, 20], atol=1e-3)
    assert notes == ()


def test_what_cannot_be_a_label_gives_none():
    empty = ObjectMask(0, 0, np.zeros((5, 5), bool))
    full = ObjectMask(0, 0, np.ones((5, 5), bool))
    assert write_and_read(FOUND._replace(masks=(full, empty)), "segment") is None
    unsure = np.array([[[20, 20, 0.9]], [[70, 30, 0.1]]])
    assert write_and_read(FOUND._replace(keypoints=unsure), "pose") is None


def test_a_class_is_a_label_of_the_whole_image():
    assert format_labels(convert_class(1), "classify") == "1\n"
