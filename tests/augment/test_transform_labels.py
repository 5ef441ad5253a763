"""Rules of label transforms that pixels do not show: dropped labels, clipping at the border, swapped points.

tests/augment/test_labels_follow_pixels.py compares the labels of every task with drawn pixels.
"""

import numpy as np
import pytest
import shapely
import shapely.affinity
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.augment.affine import build_affine_matrix, transform_points
from pipeline.augment.parameters import AugmentationParameters
from pipeline.augment.transform_labels import select_visible_labels, transform_labels
from pipeline.core.tasks import TASKS
from pipeline.dataset.labels import EMPTY_LABELS, ImageLabels, outlines_to_boxes

EXTENT = (200, 100)
PAIR = (1, 0, 2)


def outlined(ring):
    shares = (np.array(ring, float) / EXTENT,)
    return ImageLabels(np.array([0]), outlines_to_boxes(shares), shares)


def posed(points, box=(100, 50, 120, 80)):
    box = np.array([box]) / [*EXTENT, *EXTENT]
    return ImageLabels(np.array([0]), box, keypoints=np.array([points], float) / [*EXTENT, 1])


def transform(labels, task, *, flip=(), **values):
    return transform_labels(
        labels, EXTENT, build_affine_matrix(AugmentationParameters(**values), *EXTENT), task=task, flip=flip
    )


def cropped(labels, task, share, **more):
    """Crop a share of the width at the left and of the height at the top."""
    return transform(labels, task, crop=share, left=1.0, top=1.0, **more)


@pytest.mark.parametrize("task", TASKS)
def test_image_without_objects_gets_no_labels(task):
    kept, hidden = select_visible_labels(
        transform(EMPTY_LABELS, task, fliplr=True, rotate=20, flip=PAIR), 0.3
    )
    assert len(kept) == 0
    assert not hidden


TRIANGLE = [[0, 50], [40, 50], [40, 90]]


@pytest.mark.parametrize(("visible", "count"), [(0.0, 1), (0.74, 1), (0.76, 0)])
def test_outline_is_dropped_by_its_own_area_not_by_its_box(visible, count):
    """The crop takes the left half of the triangle's box, which is a quarter of the triangle."""
    labels, _ = select_visible_labels(
        transform(outlined(TRIANGLE), "segment", crop=0.1, left=1.0, top=0.0), visible
    )
    assert len(labels) == count


@pytest.mark.parametrize(("visible", "count"), [(0.0, 1), (0.49, 1), (0.51, 0)])
def test_rotated_box_is_dropped_by_its_own_area(visible, count):
    box = [[0, 40], [40, 40], [40, 60], [0, 60]]
    labels, hidden = select_visible_labels(
        transform(outlined(box), "obb", crop=0.1, left=1.0, top=0.0), visible
    )
    assert len(labels) == count
    assert hidden == (not count)


def test_object_outside_the_image_does_not_count_as_visible():
    for task in ("segment", "obb"):
        labels, hidden = select_visible_labels(
            cropped(outlined([[0, 0], [20, 0], [20, 10], [0, 10]]), task, 0.5), 0.3
        )
        assert len(labels) == 0
        assert not hidden


@st.composite
def rectangles(draw):
    half = np.array([draw(st.floats(5, 30)), draw(st.floats(3, 12))])
    angle = draw(st.floats(0, np.pi))
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    center = np.array([draw(st.floats(35, 165)), draw(st.floats(35, 65))])
    return center + np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * half @ turn


@given(rectangles(), st.floats(0, 0.5), st.floats(-180, 180))
@settings(deadline=None)
def test_clipped_rotated_box_keeps_its_direction_and_fits_the_visible_part(corners, crop, rotate):
    labels, _ = select_visible_labels(cropped(outlined(corners), "obb", crop, rotate=rotate), 0.1)
    matrix = build_affine_matrix(AugmentationParameters(crop=crop, left=1.0, top=1.0, rotate=rotate), *EXTENT)
    whole = shapely.Polygon(transform_points(corners, matrix))
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


def test_part_outside_the_source_is_not_visible_in_a_smaller_copy():
    """Half of the box is left of the source: the smaller copy is gray there, and the label leaves it out."""
    transformed = transform(outlined([[-20, 40], [20, 40], [20, 60], [-20, 60]]), "obb", scale=0.5)
    ring = transformed.labels.outlines[0] * EXTENT
    assert [*ring.min(axis=0), *ring.max(axis=0)] == pytest.approx([50, 45, 60, 55])
    assert transformed.visible_shares == pytest.approx(1)


def test_rotated_box_larger_than_the_image_becomes_upright():
    """Ultralytics rejects an image with a label that is larger than the image."""
    band = [[-20, 20], [10, -10], [220, 80], [190, 110]]
    labels, _ = select_visible_labels(transform(outlined(band), "obb", brightness=0.1), 0.1)
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
def test_left_and_right_points_are_swapped_only_in_a_mirrored_image(values, swapped):
    plain, points = (
        transform(posed(POINTS), "pose", flip=flip, **values).labels.keypoints[0] for flip in ((), PAIR)
    )
    assert np.array_equal(points, plain[[1, 0, 2]] if swapped else plain)


def test_point_outside_loses_its_label_and_unlabeled_point_gets_none():
    labels = posed([[60, 50, 2], [105, 50, 1], [0, 0, 0]])
    points = transform(labels, "pose", crop=0.4, left=1.0, top=0.0).labels.keypoints[0]
    assert points[0].tolist() == [0, 0, 0]
    assert points[1, 2] == 1
    assert points[2].tolist() == [0, 0, 0]


def test_rotated_pose_box_still_contains_its_points():
    corners = [[41, 11, 2], [159, 89, 2], [0, 0, 0]]
    transformed = transform(posed(corners, box=(100, 50, 120, 80)), "pose", rotate=45, scale=0.5)
    box, points = transformed.labels.boxes[0], transformed.labels.keypoints[0, :2, :2]
    assert (np.abs(points - box[:2]) <= box[2:] / 2 + 1e-9).all()


def test_point_beside_its_box_does_not_enlarge_the_box():
    labels = posed([[5, 5, 2], [105, 50, 2]])
    assert transform(labels, "pose", fliplr=True).labels.boxes[0] == pytest.approx(labels.boxes[0])
