import numpy as np
import pytest

from pipeline.core.tasks import Keypoints
from pipeline.dataset.labels import ImageLabels
from pipeline.visualize.label_overlay import colour, draw, label

NAMES = ["scratch", "pit", "a class with a long name"]


def blank(height=60, width=80):
    return np.full((height, width, 3), 90, np.uint8)


@pytest.mark.parametrize(
    ("shape", "expected"),
    [((60, 80), (180, 240)), ((480, 640), (480, 640)), ((1000, 2000), (320, 640)), ((2000, 500), (640, 160))],
)
def test_pictures_are_of_a_readable_size(shape, expected):
    assert draw(blank(*shape), np.zeros(0, np.int64), np.zeros((0, 4)), NAMES).shape == (*expected, 3)


def test_a_box_is_framed_where_it_is_and_the_argument_stays():
    image = blank(480, 640)
    picture = draw(image, np.array([1]), np.array([[100, 200, 300, 400]]), NAMES)
    assert (image == 90).all()
    assert tuple(picture[300, 100][::-1]) == colour(1)
    assert tuple(picture[399, 200][::-1]) == colour(1)
    assert (picture[300, 200] == 90).all()
    changed = np.flatnonzero((picture != 90).any((1, 2)))
    assert 175 < changed[0] < 199
    assert changed[-1] == 400


@pytest.mark.parametrize(
    "box", [[0, 0, 80, 60], [-9, -9, 3, 3], [79, 59, 80, 60], [10, 20, 10, 20], [70, 0, 80, 9]]
)
def test_boxes_at_and_beyond_the_border_are_drawn(box):
    picture = draw(blank(), np.array([2]), np.array([box], float), NAMES, scores=np.array([0.5]))
    assert (picture != 90).any()


def test_every_class_has_a_colour_of_its_own():
    assert len({colour(index) for index in range(80)}) == 80
    first = np.array([colour(index) for index in range(12)], float)
    gaps = np.linalg.norm(first[:, None] - first[None], axis=2) + 1e3 * np.eye(12)
    assert gaps.min() > 40


def test_scores_are_written_beside_names():
    boxes = np.array([[10, 30, 40, 50]])
    plain = draw(blank(), np.array([0]), boxes, NAMES)
    scored = draw(blank(), np.array([0]), boxes, NAMES, scores=np.array([0.87]))
    wide = [np.flatnonzero((picture[70:88] != 90).any((0, 2))).max() for picture in (plain, scored)]
    assert wide[1] > wide[0]


RING = np.array([[100.0, 100], [300, 100], [300, 300], [100, 300], [200, 200]])
"""A square with a notch on its left."""


def test_an_outline_is_drawn_in_place_of_its_box_and_filled_sheerly():
    image = blank(480, 640)
    picture = draw(image, np.array([1]), np.array([[100, 100, 300, 300]]), NAMES, outlines=[RING])
    assert tuple(picture[200, 299][::-1]) == colour(1)
    inside, notch = picture[200, 250].astype(int), picture[200, 120]
    assert (notch == 90).all()
    assert np.abs(inside - (90 + (np.array(colour(1)[::-1]) - 90) * 80 / 255)).max() < 3


def test_an_object_without_an_outline_gets_its_box():
    boxes = np.array([[100, 100, 300, 300], [400, 100, 500, 300]])
    picture = draw(blank(480, 640), np.array([1, 2]), boxes, NAMES, outlines=[RING, np.zeros((0, 2))])
    assert tuple(picture[200, 400][::-1]) == colour(2)
    assert (picture[200, 450] == 90).all()


@pytest.mark.parametrize(("seen", "middle"), [(2, (255, 160, 40)), (1, (90, 90, 90)), (0, (90, 90, 90))])
def test_a_point_is_a_disc_or_a_ring_or_nothing(seen, middle):
    points = np.array([[[200, 200, seen], [300, 200, 2]]])
    picture = draw(
        blank(480, 640), np.array([0]), np.array([[100, 100, 400, 300]]), NAMES, keypoints=points, flip=(1, 0)
    )
    assert tuple(picture[200, 200][::-1]) == middle
    assert (picture[190:210, 190:210] != 90).any() == bool(seen)
    assert tuple(picture[200, 300][::-1]) == (60, 170, 255)  # its counterpart


def test_a_point_in_the_middle_is_white_and_needs_no_visibility():
    boxes = np.array([[100, 100, 400, 300]])
    picture = draw(
        blank(480, 640), np.array([0]), boxes, NAMES, keypoints=[np.array([[200, 200]])], flip=(0,)
    )
    assert (picture[200, 200] == 255).all()


def test_labels_in_shares_are_drawn_where_they_lie():
    face = Keypoints(("left", "right"), (1, 0))
    box, points = np.array([[0.5, 0.5, 0.5, 0.5]]), np.array([[[0.3, 0.4, 2], [0.6, 0.4, 2]]])
    picture = label(blank(480, 640), ImageLabels(np.array([0]), box, keypoints=points), NAMES, face)
    assert tuple(picture[192, 192][::-1]) == (255, 160, 40)
    assert tuple(picture[240, 160][::-1]) == colour(0)
    outline = ImageLabels(np.array([1]), box, (RING / [640, 480],))
    assert tuple(label(blank(480, 640), outline, NAMES)[200, 299][::-1]) == colour(1)


def test_the_class_of_a_whole_image_is_a_frame_around_it():
    picture = label(blank(480, 640), ImageLabels(np.array([2]), np.array([[0.5, 0.5, 1, 1]])), NAMES)
    assert tuple(picture[240, 0][::-1]) == colour(2)
    assert (picture[240, 300] == 90).all()


def test_a_throng_gets_no_names():
    boxes = np.tile([[100, 200, 300, 400]], (70, 1))
    picture = draw(blank(480, 640), np.zeros(70, np.int64), boxes, NAMES)
    assert (picture[150:195] == 90).all()
    assert draw(blank(480, 640), np.zeros(0, np.int64), np.zeros((0, 4)), NAMES, side=320).shape == (
        240,
        320,
        3,
    )
