"""The demo of each task: repeatable, of every class, its labels where the things are."""

from collections import Counter

import cv2
import numpy as np
import pytest

from pipeline.core.errors import UserError
from pipeline.core.geometry import masks
from pipeline.core.tasks import TASKS
from pipeline.evaluate.metrics.iou import rotated_box_iou
from pipeline.source.synthetic import steel, steel_surface
from pipeline.source.synthetic.calipers import POINTS
from pipeline.source.synthetic.demo import choose
from pipeline.source.synthetic.steel import _SHARES, SORTED
from pipeline.source.synthetic.steel_flaws import FlawSpot

PIXELS = 128


def series(task, count):
    drawing = choose("demo", task)
    return drawing, [drawing.draw(index, seed=0, pixels=PIXELS) for index in range(count)]


@pytest.mark.parametrize("task", TASKS)
def test_every_task_is_drawn_again_the_same_and_with_all_its_classes(task):
    drawing, pictures = series(task, 40)
    again = drawing.draw(7, seed=0, pixels=PIXELS)
    np.testing.assert_array_equal(again.image, pictures[7].image)
    found = Counter(cls for picture in pictures for cls in picture.classes.tolist())
    assert set(found) == set(range(len(drawing.names)))
    assert (drawing.keypoints is not None) == (task == "pose")
    for picture in pictures:
        assert picture.image.shape == (PIXELS, PIXELS, 3)
        assert picture.image.std() > 3
        assert len(picture.boxes) == len(picture.classes)


def test_detection_and_segmentation_show_the_same_pictures():
    first, second = (choose("demo", task).draw(3, seed=0, pixels=PIXELS) for task in ("detect", "segment"))
    np.testing.assert_array_equal(first.image, second.image)


def test_outlines_enclose_what_is_visible():
    """The truth is the mask that a flaw was drawn with; faint flaws have gaps, which an outline bridges."""
    shares, pieces = [], 0
    for index in range(40):
        rng = np.random.default_rng([0, index])
        _, look = steel_surface.sheet(rng, PIXELS)
        for _, flaw in steel._flaws(rng, FlawSpot(0, 0, PIXELS, look.angle), _SHARES):
            if steel._box(flaw.visible) is None:
                continue
            outline = steel._outline(flaw.visible).astype(np.float64)
            mask = masks.fill(outline, (PIXELS, PIXELS))
            filled = np.zeros_like(flaw.visible)
            height, width = mask.pixels.shape
            filled[mask.top : mask.top + height, mask.left : mask.left + width] = mask.pixels
            shares.append((filled & flaw.visible).sum() / (filled | flaw.visible).sum())
            pieces += cv2.connectedComponents(flaw.visible.astype(np.uint8))[0] > 2
            corners = np.concatenate([outline.min(axis=0), outline.max(axis=0)])
            np.testing.assert_allclose(corners, steel._box(flaw.visible), atol=0.2)
    assert pieces > 3
    assert np.mean(shares) > 0.97
    assert min(shares) > 0.7


def test_rotated_boxes_are_rectangles_in_the_picture_that_fit_tightly():
    _, pictures = series("obb", 40)
    upright = 0
    for picture in pictures:
        for box, corners in zip(picture.boxes, picture.polygons, strict=True):
            assert corners.shape == (4, 2)
            assert corners.min() >= 0
            assert corners.max() <= PIXELS
            np.testing.assert_allclose(corners[0] + corners[2], corners[1] + corners[3], atol=1e-2)
            diagonals = corners[2] - corners[0], corners[3] - corners[1]
            assert np.linalg.norm(diagonals[0]) == pytest.approx(np.linalg.norm(diagonals[1]), rel=1e-3)
            extent = np.concatenate([corners.min(axis=0), corners.max(axis=0)])
            assert (extent[:2] <= box[:2] + 0.3).all()
            assert (extent[2:] >= box[2:] - 0.3).all()
            x1, y1, x2, y2 = box.astype(float)
            around = np.array([[x1, y1], [x2, y1], [x2, y2], [x1, y2]])
            upright += rotated_box_iou(corners[None].astype(float), around[None]).item() > 0.9
    assert upright < 0.3 * sum(len(picture.boxes) for picture in pictures)


def test_left_and_right_of_callipers_change_places_in_a_mirror():
    """Seen with the hinge above the tips, the left leg is on the left, in every picture."""
    drawing, pictures = series("pose", 60)
    seen = Counter()
    for picture in pictures:
        for box, pose in zip(picture.boxes, picture.keypoints, strict=True):
            seen.update(pose[:, 2].astype(int).tolist())
            places = pose[pose[:, 2] > 0, :2]
            assert (places >= box[:2] - 0.06 * PIXELS).all()  # the middle of a bend lies within its leg
            assert (places <= box[2:] + 0.06 * PIXELS).all()
            assert (pose[pose[:, 2] == 0, :2] == 0).all()
            if pose[[0, 1, 2], 2].all():
                down = pose[[1, 2], :2].mean(axis=0) - pose[0, :2]
                across = pose[2, :2] - pose[1, :2]
                assert across[0] * down[1] - across[1] * down[0] > 0
    assert seen[2] > 10 * seen[1] > 0
    assert seen[0] > 0
    assert drawing.keypoints == POINTS
    names = drawing.keypoints.names
    assert [names[other] for other in drawing.keypoints.flip] == [
        *("hinge", "right_bend", "left_bend", "right_tip", "left_tip")
    ]


def test_whole_pictures_have_one_class_each():
    _, pictures = series("classify", 60)
    counts = Counter(SORTED[int(picture.classes[0])] for picture in pictures)
    assert min(counts.values()) > 3
    assert sum(counts.values()) == 60
    for picture in pictures:
        assert picture.boxes.tolist() == [[0, 0, PIXELS, PIXELS]]


def test_shapes_have_outlines_and_nothing_else():
    assert choose("shapes", "segment") is choose("shapes", "detect")
    with pytest.raises(UserError, match=r"data\.format=shapes is not drawn for data\.task=pose"):
        choose("shapes", "pose")
