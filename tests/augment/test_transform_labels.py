"""Rules that pixels do not tell: what is kept, what an edge does to a label, which way points change places.

tests/augment/test_labels_follow_pixels.py holds every task against drawn pixels.
"""

import numpy as np
import pytest
import shapely
import shapely.affinity
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.augment import affine
from pipeline.augment.parameters import AugmentationParameters
from pipeline.augment.transform_labels import follow, keep
from pipeline.core.tasks import TASKS
from pipeline.dataset.labels import EMPTY, ImageLabels, around

EXTENT = (200, 100)
PAIR = (1, 0, 2)


def outlined(ring):
    shares = (np.array(ring, float) / EXTENT,)
    return ImageLabels(np.array([0]), around(shares), shares)


def posed(points, box=(100, 50, 120, 80)):
    box = np.array([box]) / [*EXTENT, *EXTENT]
    return ImageLabels(np.array([0]), box, keypoints=np.array([points], float) / [*EXTENT, 1])


def moved(labels, task, *, flip=(), **values):
    return follow(
        labels, EXTENT, affine.matrix(AugmentationParameters(**values), *EXTENT), task=task, flip=flip
    )


def cropped(labels, task, share, **more):
    """Cut a share of the width, and of the height, away at left and top."""
    return moved(labels, task, crop=share, left=1.0, top=1.0, **more)


@pytest.mark.parametrize("task", TASKS)
def test_an_image_without_objects_stays_without(task):
    kept, hidden = keep(moved(EMPTY, task, fliplr=True, rotate=20, flip=PAIR), 0.3)
    assert len(kept) == 0
    assert not hidden


TRIANGLE = [[0, 50], [40, 50], [40, 90]]


@pytest.mark.parametrize(("visible", "kept"), [(0.0, 1), (0.74, 1), (0.76, 0)])
def test_an_outline_goes_by_its_own_area_and_not_by_its_box(visible, kept):
    """The crop takes the left half of the triangle's box, which is a quarter of the triangle."""
    labels, _ = keep(moved(outlined(TRIANGLE), "segment", crop=0.1, left=1.0, top=0.0), visible)
    assert len(labels) == kept


@pytest.mark.parametrize(("visible", "kept"), [(0.0, 1), (0.49, 1), (0.51, 0)])
def test_a_rotated_box_goes_by_its_own_area(visible, kept):
    box = [[0, 40], [40, 40], [40, 60], [0, 60]]
    labels, hidden = keep(moved(outlined(box), "obb", crop=0.1, left=1.0, top=0.0), visible)
    assert len(labels) == kept
    assert hidden == (not kept)


def test_what_has_left_the_image_is_not_hidden_in_it():
    for task in ("segment", "obb"):
        labels, hidden = keep(cropped(outlined([[0, 0], [20, 0], [20, 10], [0, 10]]), task, 0.5), 0.3)
        assert len(labels) == 0
        assert not hidden


@st.composite
def rectangles(draw):
    half = np.array([draw(st.floats(5, 30)), draw(st.floats(3, 12))])
    angle = draw(st.floats(0, np.pi))
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    centre = np.array([draw(st.floats(35, 165)), draw(st.floats(35, 65))])
    return centre + np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * half @ turn


@given(rectangles(), st.floats(0, 0.5), st.floats(-180, 180))
@settings(deadline=None)
def test_a_cut_rotated_box_keeps_its_direction_and_fits_what_is_visible(corners, crop, rotate):
    labels, _ = keep(cropped(outlined(corners), "obb", crop, rotate=rotate), 0.1)
    matrix = affine.matrix(AugmentationParameters(crop=crop, left=1.0, top=1.0, rotate=rotate), *EXTENT)
    whole = shapely.Polygon(affine.points(corners, matrix))
    visible = whole.intersection(shapely.box(0, 0, *EXTENT))
    if not len(labels):
        assert visible.area < 0.11 * whole.area
        return
    ring = labels.outlines[0] * EXTENT
    assert ring.shape == (4, 2)
    rectangle = shapely.Polygon(ring)
    way = np.subtract(whole.exterior.coords[1], whole.exterior.coords[0])
    angle = np.arctan2(way[1], way[0])
    upright = shapely.affinity.rotate(visible, -angle, origin=(0, 0), use_radians=True).envelope
    same = shapely.affinity.rotate(upright, angle, origin=(0, 0), use_radians=True)
    width, height = same.bounds[2] - same.bounds[0], same.bounds[3] - same.bounds[1]
    fits = width <= 1.009 * EXTENT[0] and height <= 1.009 * EXTENT[1]
    assert rectangle.hausdorff_distance(same if fits else visible.envelope) < 1e-6


def test_what_an_edge_of_the_source_cut_off_is_not_visible_in_a_smaller_copy():
    """Half of the box lies left of the image: made smaller, grey is there, and the label keeps off it."""
    followed = moved(outlined([[-20, 40], [20, 40], [20, 60], [-20, 60]]), "obb", scale=0.5)
    ring = followed.labels.outlines[0] * EXTENT
    assert [*ring.min(axis=0), *ring.max(axis=0)] == pytest.approx([50, 45, 60, 55])
    assert followed.left == pytest.approx(1)


def test_a_rotated_box_larger_than_the_image_becomes_upright():
    """Ultralytics takes a label whose extent is beyond the image for damaged, and leaves the image out."""
    band = [[-20, 20], [10, -10], [220, 80], [190, 110]]
    labels, _ = keep(moved(outlined(band), "obb", brightness=0.1), 0.1)
    ring = labels.outlines[0] * EXTENT
    assert np.ptp(ring, axis=0).tolist() == pytest.approx([200, 100])


POINTS = [[95, 50, 2], [105, 50, 1], [100, 60, 2]]


@pytest.mark.parametrize(
    ("values", "swapped"),
    [
        ({"fliplr": True}, True),
        ({"flipud": True}, True),
        ({"fliplr": True, "flipud": True}, False),  # the same as a rotation by 180 degrees
        ({"rotate": 180}, False),
        ({"fliplr": True, "rotate": 77}, True),
        ({"rotate": 77}, False),
    ],
)
def test_left_and_right_change_places_in_a_mirrored_image_alone(values, swapped):
    plain, points = (
        moved(posed(POINTS), "pose", flip=flip, **values).labels.keypoints[0] for flip in ((), PAIR)
    )
    assert np.array_equal(points, plain[[1, 0, 2]] if swapped else plain)


def test_a_point_outside_has_no_label_and_one_without_label_gets_none():
    labels = posed([[60, 50, 2], [105, 50, 1], [0, 0, 0]])
    points = moved(labels, "pose", crop=0.4, left=1.0, top=0.0).labels.keypoints[0]
    assert points[0].tolist() == [0, 0, 0]
    assert points[1, 2] == 1
    assert points[2].tolist() == [0, 0, 0]


def test_a_turned_box_still_holds_the_points_that_it_held():
    corners = [[41, 11, 2], [159, 89, 2], [0, 0, 0]]
    followed = moved(posed(corners, box=(100, 50, 120, 80)), "pose", rotate=45, scale=0.5)
    box, points = followed.labels.boxes[0], followed.labels.keypoints[0, :2, :2]
    assert (np.abs(points - box[:2]) <= box[2:] / 2 + 1e-9).all()


def test_a_point_beside_its_box_does_not_draw_the_box_out():
    labels = posed([[5, 5, 2], [105, 50, 2]])
    assert moved(labels, "pose", fliplr=True).labels.boxes[0] == pytest.approx(labels.boxes[0])
