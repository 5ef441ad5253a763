"""IoU of rotated boxes: by hand, and against counted points."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.evaluate.metrics.iou import box_iou as upright
from pipeline.evaluate.metrics.iou import rotated_box_iou


def corners(x, y, width, height, degrees):
    """Return the corners (4, 2) of a rectangle about x, y."""
    turn = np.deg2rad(degrees)
    local = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * [width / 2, height / 2]
    return local @ np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]]) + [x, y]


@pytest.mark.parametrize(
    ("first", "second", "iou"),
    [
        pytest.param((0, 0, 4, 2, 30), (0, 0, 4, 2, 30), 1.0, id="the same"),
        pytest.param((0, 0, 4, 2, 30), (0, 0, 4, 2, 210), 1.0, id="turned by half"),
        pytest.param((0, 0, 2, 2, 0), (0, 0, 2, 2, 45), 2**-0.5, id="a square and its diamond"),
        pytest.param((0, 0, 10, 1, 0), (0, 0, 10, 1, 90), 1 / 19, id="a cross"),
        pytest.param((0, 0, 2, 2, 0), (5, 0, 2, 2, 45), 0.0, id="apart"),
        pytest.param((0, 0, 4, 2, 0), (2, 0, 4, 2, 0), 1 / 3, id="upright"),
        pytest.param((0, 0, 4, 0, 20), (0, 0, 4, 0, 20), 0.0, id="without area"),
    ],
)
def test_rotated_iou_by_hand(first, second, iou):
    assert rotated_box_iou(corners(*first)[None], corners(*second)[None]).item() == pytest.approx(iou)


def test_rotated_iou_ignores_the_order_of_corners():
    box = corners(0, 0, 4, 2, 30)
    assert rotated_box_iou(box[None], box[::-1][None]).item() == pytest.approx(1.0)


def test_rotated_iou_of_no_boxes_is_empty():
    none, one = np.zeros((0, 4, 2)), corners(0, 0, 4, 2, 30)[None]
    assert rotated_box_iou(none, one).shape == (0, 1)
    assert rotated_box_iou(one, none).shape == (1, 0)


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**32 - 1))
def test_rotated_iou_agrees_with_counted_points(seed):
    rng = np.random.default_rng(seed)
    boxes = [(*rng.uniform(-3, 3, 2), *rng.uniform(4, 12, 2), rng.uniform(0, 180)) for _ in range(2)]
    x, y = (axis.ravel() for axis in np.meshgrid(*[np.linspace(-12, 12, 400)] * 2))
    first, second = (within(box, x, y) for box in boxes)
    counted = (first & second).sum() / (first | second).sum()
    found = rotated_box_iou(corners(*boxes[0])[None], corners(*boxes[1])[None]).item()
    assert found == pytest.approx(counted, abs=0.01)


def within(box, x, y):
    left, top, width, height, degrees = box
    turn = np.deg2rad(degrees)
    along = (x - left) * np.cos(turn) + (y - top) * np.sin(turn)
    across = (y - top) * np.cos(turn) - (x - left) * np.sin(turn)
    return (np.abs(along) <= width / 2) & (np.abs(across) <= height / 2)


def test_rotated_iou_of_upright_boxes_equals_box_iou():
    rng = np.random.default_rng(0)
    low = rng.uniform(0, 50, (2, 20, 2))
    boxes = np.concatenate([low, low + rng.uniform(1, 30, (2, 20, 2))], axis=2)
    turned = boxes[:, :, [0, 1, 2, 1, 2, 3, 0, 3]].reshape(2, 20, 4, 2)
    np.testing.assert_allclose(rotated_box_iou(*turned), upright(*boxes), atol=1e-12)
