"""Pictures of errors: colors, shapes, and images of any size."""

import numpy as np
import pytest
from PIL import ImageColor

from pipeline.core.detections import Detections, GroundTruth
from pipeline.evaluate.error_pictures import (
    ERROR_COLORS,
    IMAGE_SIDE,
    MARGIN,
    MIN_SHEET_WIDTH,
    draw_classification_error,
    draw_detection_errors,
)
from pipeline.evaluate.metrics.error_types import assign_error_types


def test_each_error_type_is_drawn_in_its_color():
    truth = GroundTruth(
        np.array([[10, 40, 30, 60], [40, 10, 60, 30], [70, 70, 90, 90]], float), np.array([0, 0, 1])
    )
    found = Detections(
        np.array([[10, 40, 30, 60], [40, 10, 60, 30], [5, 75, 25, 95]], float),
        np.full(3, 0.9),
        np.array([0, 1, 0]),
    )
    drawn_sheet = draw_detection_errors(
        np.full((100, 100, 3), 128, np.uint8),
        assign_error_types(truth, found, 0.5),
        ["a", "b"],
        title="x" * 200,
    )
    there = {color for _, color in drawn_sheet.getcolors(1 << 24)}
    colors = {reason: ImageColor.getrgb(color) in there for reason, color in ERROR_COLORS.items()}
    assert [colors[reason] for reason in ("right", "missed", "wrong class", "loose")] == [True] * 3 + [False]
    assert drawn_sheet.width == 2 * IMAGE_SIDE + 3 * MARGIN


@pytest.mark.parametrize("extent", [(10, 400), (400, 10), (1, 1), (3000, 2000)])
def test_images_of_any_shape_with_boxes_at_their_edges_are_drawn(extent):
    width, height = extent
    boxes = np.array([[0, 0, width, height], [width - 1, height - 1, width, height]], float)
    errors = assign_error_types(
        GroundTruth(boxes, np.array([0, 0])), Detections(boxes[:1], np.array([0.9]), np.array([0])), 0.5
    )
    image = np.zeros((height, width, 3), np.uint8)
    drawn_sheet = draw_detection_errors(
        image, errors, ["a name that is much longer than the image is wide"], title="edge"
    )
    assert drawn_sheet.width >= MIN_SHEET_WIDTH


def test_outlines_and_points_replace_boxes():
    box = np.array([[20, 20, 80, 80]], float)
    diamond = np.array([[50, 20], [80, 50], [50, 80], [20, 50]], float)
    points = np.array([[[30, 70, 2], [70, 30, 0]]], float)
    gray = np.full((100, 100, 3), 128, np.uint8)
    truth = GroundTruth(box, np.array([0]), outlines=(diamond,), keypoints=points)
    errors = assign_error_types(truth, Detections(box[:0], np.zeros(0), np.zeros(0, np.int64)), 0.5)
    picture = draw_detection_errors(gray, errors, ["a"], title="t")
    missed = ImageColor.getrgb(ERROR_COLORS["missed"])

    def colored(x, y):
        """Check for the color of a missed object within some pixels of a place."""
        left, top = round(MARGIN + x * 5.6), round(70 + y * 5.6)
        near = [(left + right, top + down) for right in (-2, 0, 2) for down in (-2, 0, 2)]
        return missed in {picture.getpixel(place) for place in near}

    assert colored(65, 35)  # half way along a side of the diamond
    assert colored(30, 70)  # the labelled point
    assert not colored(80, 80)  # a corner of the box
    assert not colored(70, 35)  # beside the point that is not labelled


@pytest.mark.parametrize("extent", [(10, 400), (400, 10), (1, 1), (300, 200)])
def test_wrong_class_is_drawn_beside_images_of_any_shape(extent):
    width, height = extent
    guesses = [
        ("pit", 0.7),
        ("a name that is a good deal longer than there is room for in a picture", 0.2),
        ("crack", 0.1),
    ]
    picture = draw_classification_error(
        np.zeros((height, width, 3), np.uint8), "crack", guesses, title="x" * 300
    )
    there = {color for _, color in picture.getcolors(1 << 24)}
    assert {ImageColor.getrgb(ERROR_COLORS[verdict]) for verdict in ("right", "wrong class")} <= there
    assert picture.width <= 2 * 560


def test_box_with_swapped_corners_is_a_false_positive():
    upright, inverted = np.array([[20.0, 20, 60, 60]]), np.array([[70.0, 80, 40, 30]])
    found = Detections(inverted, np.array([0.9]), np.array([0]))
    errors = assign_error_types(GroundTruth(upright, np.array([0])), found, 0.5)
    assert errors.count_errors() == {"false alarm": 1, "missed": 1}
    picture = draw_detection_errors(np.full((100, 100, 3), 90, np.uint8), errors, ["a"], title="t")
    assert picture.width >= MIN_SHEET_WIDTH
