import numpy as np
import pytest

from pipeline.edges.pictures import colour, draw

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
