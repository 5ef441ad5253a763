"""Clipping and subtracting outlines, against shapely."""

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.core.geometry.polygons import EMPTY_OUTLINE, build_region, clip_outline, subtract_cover

SQUARE = np.array([[10.0, 10], [30, 10], [30, 30], [10, 30]])
COMB = np.array([[0.0, 0], [10, 0], [10, 20], [8, 20], [8, 3], [2, 3], [2, 20], [0, 20]])
"""A bar with two legs."""


@st.composite
def stars(draw):
    """Draw an outline around the origin, mostly concave."""
    rays = draw(st.lists(st.floats(5, 60), min_size=4, max_size=12))
    angles = np.linspace(0, 2 * np.pi, len(rays), endpoint=False)
    return np.array(rays)[:, None] * np.stack([np.cos(angles), np.sin(angles)], axis=1)


def area(ring):
    """Return the area by the shoelace formula, in which a line in both directions counts nothing."""
    x, y = ring.T
    return abs(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2


def test_outline_inside_the_image_is_returned_unchanged():
    ring, share = clip_outline(SQUARE, 30, 30)
    assert ring is SQUARE
    assert share == 1


@pytest.mark.parametrize(
    ("shift", "share", "extent"),
    [
        ((-20, 0), 0.5, [0, 10, 10, 30]),
        ((10, 10), 0.25, [20, 20, 30, 30]),
        ((-30, 0), 0.0, [0, 0, 0, 0]),
        ((90, 90), 0.0, [0, 0, 0, 0]),
    ],
)
def test_square_is_clipped_at_the_edge(shift, share, extent):
    ring, left = clip_outline(SQUARE + shift, 30, 30)
    assert left == pytest.approx(share)
    assert [*ring.min(axis=0), *ring.max(axis=0)] == extent


def test_outline_cut_into_parts_becomes_one_ring():
    legs, share = clip_outline(COMB - [0, 5], 10, 15)
    assert area(legs) == pytest.approx(2 * 2 * 15)
    assert share == pytest.approx(60 / (10 * 3 + 2 * 2 * 17))
    assert [*legs.min(axis=0), *legs.max(axis=0)] == [0, 0, 10, 15]
    assert shapely.equals(build_region(legs), shapely.MultiPolygon(
        [shapely.box(0, 0, 2, 15), shapely.box(8, 0, 10, 15)]
    ))  # fmt: skip


@given(stars(), st.floats(-70, 70), st.floats(-70, 70))
@settings(deadline=None)
def test_clipped_outline_encloses_exactly_the_part_inside(star, x, y):
    star = star + np.array([x, y])
    ring, share = clip_outline(star, 60, 50)
    whole = shapely.Polygon(star)
    inside = whole.intersection(shapely.box(0, 0, 60, 50))
    assert share == pytest.approx(inside.area / whole.area, abs=1e-9)
    assert area(ring) == pytest.approx(inside.area, abs=0.25 * 12)
    assert (
        build_region(ring).symmetric_difference(inside).area <= 0.25 * 12
        if len(ring) > 2
        else inside.area < 3
    )
    assert (ring >= -1e-9).all()
    assert (ring <= np.array([60, 50]) + 1e-9).all()


def test_hole_is_joined_to_the_outer_ring():
    ring, share = subtract_cover(SQUARE, shapely.box(15, 15, 25, 25))
    assert share == pytest.approx(0.75)
    assert area(ring) == pytest.approx(300)
    assert not build_region(ring).contains(shapely.Point(20, 20))
    assert build_region(ring).area == pytest.approx(300)


def test_uncovered_outline_is_returned_unchanged():
    ring, share = subtract_cover(SQUARE, shapely.box(40, 40, 50, 50))
    assert ring is SQUARE
    assert share == 1


def test_fully_covered_outline_is_empty():
    ring, share = subtract_cover(SQUARE, shapely.box(0, 0, 50, 50))
    assert ring is EMPTY_OUTLINE
    assert share == 0


@pytest.mark.parametrize(
    "ring",
    [
        [[0, 0], [10, 10], [10, 0], [0, 10]],  # crosses itself
        [[0, 0], [4, 0], [4, 4], [0, 4], [0, 0], [0, 0], [-4, 0], [-4, -4], [0, -4]],  # touches itself
        [[0, 0], [10, 0], [5, 0]],  # a line
        [[1, 1], [1, 1], [1, 1]],
        [[0, 0]],
    ],
)
def test_invalid_rings_can_be_clipped(ring):
    cut, share = clip_outline(np.array(ring, float) - 1, 5, 5)
    assert 0 <= share <= 1
    assert len(cut) > 2 or cut is EMPTY_OUTLINE
