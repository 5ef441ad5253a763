"""How far two models find the same."""

import numpy as np
import pytest

from pipeline.core.detections import Detections
from pipeline.dataset.stored_predictions import PredictedImage, StoredPredictions
from pipeline.export.agreement import measure_agreement

IMAGE = PredictedImage(1, "test/a.png", "0", "0", 64, 64, "a.png", "a")


def stored(boxes, scores, classes, **changes):
    found = Detections(np.array(boxes, float).reshape(-1, 4), np.array(scores), np.array(classes, np.int64))
    return StoredPredictions("detect", ("a", "b"), "d", "w", (IMAGE,), detections=[found._replace(**changes)])


BOX, MOVED, FAR = (10, 10, 30, 30), (10, 10, 30, 31), (40, 40, 60, 60)


@pytest.mark.parametrize(
    ("first", "second", "counts"),
    [
        (([BOX], [0.9], [0]), ([MOVED], [0.8], [0]), (2, 2)),
        (([BOX], [0.9], [0]), ([MOVED], [0.8], [1]), (0, 2)),
        (([BOX], [0.9], [0]), ([FAR], [0.9], [0]), (0, 2)),
        (([BOX, FAR], [0.9, 0.9], [0, 0]), ([BOX], [0.9], [0]), (2, 3)),
        (([BOX], [0.9], [0]), ([], [], []), (0, 1)),
        (([BOX], [0.1], [0]), ([], [], []), (0, 0)),
        (([BOX], [0.26], [0]), ([BOX], [0.24], [0]), (1, 1)),  # on both sides of the threshold, and the same
    ],
)
def test_boxes_of_one_class_and_place_are_the_same(first, second, counts):
    found = measure_agreement(stored(*first), stored(*second), threshold=0.25)
    assert (found.same, found.all) == counts
    assert found.share == (counts[0] / counts[1] if counts[1] else 1)


def test_rotated_boxes_are_compared_as_such():
    corners = np.array([[20, 10], [30, 20], [20, 30], [10, 20]], float)
    turned = stored([BOX], [0.9], [0], outlines=(corners,))
    upright = stored([BOX], [0.9], [0], outlines=(np.array([[10, 10], [30, 10], [30, 30], [10, 30]], float),))
    here, there = (
        StoredPredictions("obb", one.names, "d", "w", one.images, detections=one.detections)
        for one in (turned, upright)
    )
    assert measure_agreement(here, there, threshold=0.25).share == 0
    assert measure_agreement(here, here, threshold=0.25).share == 1


def test_images_of_classify_agree_by_their_first_class():
    first, second = (
        StoredPredictions("classify", ("a", "b"), "d", "w", (IMAGE, IMAGE), probabilities=np.array(rows))
        for rows in ([[0.9, 0.1], [0.4, 0.6]], [[0.6, 0.4], [0.7, 0.3]])
    )
    assert measure_agreement(first, second, threshold=0.25) == (1, 2)
