"""The demo of each task: repeatable, with every class, with labels at the drawn objects."""

from collections import Counter

import cv2
import numpy as np
import pytest

from pipeline.core.errors import UserError
from pipeline.core.geometry.masks import rasterize_outline
from pipeline.core.tasks import TASKS
from pipeline.evaluate.metrics.iou import rotated_box_iou
from pipeline.source.synthetic import steel
from pipeline.source.synthetic.calipers import CALIPER_KEYPOINTS
from pipeline.source.synthetic.demo import select_demo_dataset
from pipeline.source.synthetic.steel import _CLASS_CHANCES, SHEET_CLASSES
from pipeline.source.synthetic.steel_flaws import FlawSpot
from pipeline.source.synthetic.steel_surface import render_steel_surface

PIXELS = 128


def draw_images(task, count):
    drawing = select_demo_dataset("demo", task)
    return drawing, [drawing.draw(index, seed=0, pixels=PIXELS) for index in range(count)]


@pytest.mark.parametrize("task", TASKS)
def test_demo_of_every_task_is_repeatable_and_has_all_classes(task):
    drawing, images = draw_images(task, 40)
    again = drawing.draw(7, seed=0, pixels=PIXELS)
    np.testing.assert_array_equal(again.image, images[7].image)
    found = Counter(cls for drawn in images for cls in drawn.classes.tolist())
    assert set(found) == set(range(len(drawing.names)))
    assert (drawing.keypoints is not None) == (task == "pose")
    for drawn in images:
        assert drawn.image.shape == (PIXELS, PIXELS, 3)
        assert drawn.image.std() > 3
        assert len(drawn.boxes) == len(drawn.classes)


def test_detect_and_segment_have_the_same_images():
    first, second = (
        select_demo_dataset("demo", task).draw(3, seed=0, pixels=PIXELS) for task in ("detect", "segment")
    )
    np.testing.assert_array_equal(first.image, second.image)


def test_outlines_match_the_visible_pixels():
    """The reference is the mask that a flaw was drawn with; an outline bridges the gaps of faint flaws."""
    shares, pieces = [], 0
    for index in range(40):
        rng = np.random.default_rng([0, index])
        _, finish = render_steel_surface(rng, PIXELS)
        for _, flaw in steel._sample_flaws(rng, FlawSpot(0, 0, PIXELS, finish.angle), _CLASS_CHANCES):
            if steel._find_box(flaw.visible) is None:
                continue
            outline = steel._trace_outline(flaw.visible).astype(np.float64)
            mask = rasterize_outline(outline, (PIXELS, PIXELS))
            filled = np.zeros_like(flaw.visible)
            height, width = mask.pixels.shape
            filled[mask.top : mask.top + height, mask.left : mask.left + width] = mask.pixels
            shares.append((filled & flaw.visible).sum() / (filled | flaw.visible).sum())
            pieces += cv2.connectedComponents(flaw.visible.astype(np.uint8))[0] > 2
            corners = np.concatenate([outline.min(axis=0), outline.max(axis=0)])
            np.testing.assert_allclose(corners, steel._find_box(flaw.visible), atol=0.2)
    assert pieces > 3
    assert np.mean(shares) > 0.97
    assert min(shares) > 0.7


def test_obb_labels_are_tight_rectangles_inside_the_image():
    _, images = draw_images("obb", 40)
    upright = 0
    for drawn in images:
        for box, corners in zip(drawn.boxes, drawn.polygons, strict=True):
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
    assert upright < 0.3 * sum(len(drawn.boxes) for drawn in images)


def test_left_and_right_keypoints_of_calipers_are_paired():
    """With the hinge above the tips, the left leg is on the left, in every image."""
    drawing, images = draw_images("pose", 60)
    seen = Counter()
    for drawn in images:
        for box, pose in zip(drawn.boxes, drawn.keypoints, strict=True):
            seen.update(pose[:, 2].astype(int).tolist())
            places = pose[pose[:, 2] > 0, :2]
            assert (places >= box[:2] - 0.06 * PIXELS).all()  # the middle of a bend is inside its leg
            assert (places <= box[2:] + 0.06 * PIXELS).all()
            assert (pose[pose[:, 2] == 0, :2] == 0).all()
            if pose[[0, 1, 2], 2].all():
                down = pose[[1, 2], :2].mean(axis=0) - pose[0, :2]
                across = pose[2, :2] - pose[1, :2]
                assert across[0] * down[1] - across[1] * down[0] > 0
    assert seen[2] > 10 * seen[1] > 0
    assert seen[0] > 0
    assert drawing.keypoints == CALIPER_KEYPOINTS
    names = drawing.keypoints.names
    assert [names[other] for other in drawing.keypoints.flip] == [
        *("hinge", "right_bend", "left_bend", "right_tip", "left_tip")
    ]


def test_classify_images_have_one_class_each():
    _, images = draw_images("classify", 60)
    counts = Counter(SHEET_CLASSES[int(drawn.classes[0])] for drawn in images)
    assert min(counts.values()) > 3
    assert sum(counts.values()) == 60
    for drawn in images:
        assert drawn.boxes.tolist() == [[0, 0, PIXELS, PIXELS]]


def test_shapes_are_refused_for_pose():
    assert select_demo_dataset("shapes", "segment") is select_demo_dataset("shapes", "detect")
    with pytest.raises(UserError, match=r"data\.format=shapes is not drawn for data\.task=pose"):
        select_demo_dataset("shapes", "pose")
