import numpy as np
import pytest

from pipeline.core.tasks import Keypoints
from pipeline.dataset.labels import ImageLabels
from pipeline.visualize.label_overlay import draw_label_overlay, draw_objects, get_class_color

NAMES = ["scratch", "pit", "a class with a long name"]


def blank(height=60, width=80):
    return np.full((height, width, 3), 90, np.uint8)


@pytest.mark.parametrize(
    ("shape", "expected"),
    [((60, 80), (180, 240)), ((480, 640), (480, 640)), ((1000, 2000), (320, 640)), ((2000, 500), (640, 160))],
)
def test_picture_has_a_readable_size(shape, expected):
    assert draw_objects(blank(*shape), np.zeros(0, np.int64), np.zeros((0, 4)), NAMES).shape == (*expected, 3)


def test_box_is_drawn_in_place_and_the_argument_is_not_changed():
    image = blank(480, 640)
    picture = draw_objects(image, np.array([1]), np.array([[100, 200, 300, 400]]), NAMES)
    assert (image == 90).all()
    assert tuple(picture[300, 100][::-1]) == get_class_color(1)
    assert tuple(picture[399, 200][::-1]) == get_class_color(1)
    assert (picture[300, 200] == 90).all()
    changed = np.flatnonzero((picture != 90).any((1, 2)))
    assert 175 < changed[0] < 199
    assert changed[-1] == 400


@pytest.mark.parametrize(
    "box", [[0, 0, 80, 60], [-9, -9, 3, 3], [79, 59, 80, 60], [10, 20, 10, 20], [70, 0, 80, 9]]
)
def test_boxes_at_and_beyond_the_border_are_drawn(box):
    picture = draw_objects(blank(), np.array([2]), np.array([box], float), NAMES, scores=np.array([0.5]))
    assert (picture != 90).any()


def test_every_class_has_its_own_color():
    assert len({get_class_color(index) for index in range(80)}) == 80
    first = np.array([get_class_color(index) for index in range(12)], float)
    gaps = np.linalg.norm(first[:, None] - first[None], axis=2) + 1e3 * np.eye(12)
    assert gaps.min() > 40


def test_scores_are_written_beside_names():
    boxes = np.array([[10, 30, 40, 50]])
    plain = draw_objects(blank(), np.array([0]), boxes, NAMES)
    scored = draw_objects(blank(), np.array([0]), boxes, NAMES, scores=np.array([0.87]))
    wide = [np.flatnonzero((picture[70:88] != 90).any((0, 2))).max() for picture in (plain, scored)]
    assert wide[1] > wide[0]


RING = np.array([[100.0, 100], [300, 100], [300, 300], [100, 300], [200, 200]])
"""A square with a notch on its left."""


def test_outline_replaces_its_box_with_a_translucent_fill():
    image = blank(480, 640)
    picture = draw_objects(image, np.array([1]), np.array([[100, 100, 300, 300]]), NAMES, outlines=[RING])
    assert tuple(picture[200, 299][::-1]) == get_class_color(1)
    inside, notch = picture[200, 250].astype(int), picture[200, 120]
    assert (notch == 90).all()
    assert np.abs(inside - (90 + (np.array(get_class_color(1)[::-1]) - 90) * 80 / 255)).max() < 3


def test_object_without_an_outline_gets_its_box():
    boxes = np.array([[100, 100, 300, 300], [400, 100, 500, 300]])
    picture = draw_objects(blank(480, 640), np.array([1, 2]), boxes, NAMES, outlines=[RING, np.zeros((0, 2))])
    assert tuple(picture[200, 400][::-1]) == get_class_color(2)
    assert (picture[200, 450] == 90).all()


@pytest.mark.parametrize(("seen", "middle"), [(2, (255, 160, 40)), (1, (90, 90, 90)), (0, (90, 90, 90))])
def test_keypoint_is_drawn_by_its_visibility(seen, middle):
    points = np.array([[[200, 200, seen], [300, 200, 2]]])
    picture = draw_objects(
        blank(480, 640), np.array([0]), np.array([[100, 100, 400, 300]]), NAMES, keypoints=points, flip=(1, 0)
    )
    assert tuple(picture[200, 200][::-1]) == middle
    assert (picture[190:210, 190:210] != 90).any() == bool(seen)
    assert tuple(picture[200, 300][::-1]) == (60, 170, 255)  # its counterpart


def test_middle_keypoint_is_white_and_needs_no_visibility():
    boxes = np.array([[100, 100, 400, 300]])
    picture = draw_objects(
        blank(480, 640), np.array([0]), boxes, NAMES, keypoints=[np.array([[200, 200]])], flip=(0,)
    )
    assert (picture[200, 200] == 255).all()


def test_normalized_labels_are_drawn_in_place():
    face = Keypoints(("left", "right"), (1, 0))
    box, points = np.array([[0.5, 0.5, 0.5, 0.5]]), np.array([[[0.3, 0.4, 2], [0.6, 0.4, 2]]])
    picture = draw_label_overlay(
        blank(480, 640), ImageLabels(np.array([0]), box, keypoints=points), NAMES, face
    )
    assert tuple(picture[192, 192][::-1]) == (255, 160, 40)
    assert tuple(picture[240, 160][::-1]) == get_class_color(0)
    outline = ImageLabels(np.array([1]), box, (RING / [640, 480],))
    assert tuple(draw_label_overlay(blank(480, 640), outline, NAMES)[200, 299][::-1]) == get_class_color(1)


def test_class_of_an_image_is_a_box_around_it():
    picture = draw_label_overlay(
        blank(480, 640), ImageLabels(np.array([2]), np.array([[0.5, 0.5, 1, 1]])), NAMES
    )
    assert tuple(picture[240, 0][::-1]) == get_class_color(2)
    assert (picture[240, 300] == 90).all()


def test_names_are_left_out_with_many_objects():
    boxes = np.tile([[100, 200, 300, 400]], (70, 1))
    picture = draw_objects(blank(480, 640), np.zeros(70, np.int64), boxes, NAMES)
    assert (picture[150:195] == 90).all()
    assert draw_objects(blank(480, 640), np.zeros(0, np.int64), np.zeros((0, 4)), NAMES, side=320).shape == (
        240,
        320,
        3,
    )
