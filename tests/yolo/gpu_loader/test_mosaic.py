from __future__ import annotations

import numpy as np
import pytest

from pipeline.yolo.gpu_loader import mosaic as gpu_loader_mosaic
from pipeline.yolo.gpu_loader import parameters
from pipeline.yolo.gpu_loader.mosaic import BoxTable, look_back
from pipeline.yolo.gpu_loader.parameters import BatchParameters, WarpParameters

SIDE = 100
SIZES = np.array([[100, 50], [100, 100], [60, 100], [100, 100]])
HALF = BoxTable(np.array([[0.5, 0.5, 0.5, 0.5]] * 4), np.arange(4.0), np.arange(5))
"""Each image has one box: its inner half."""


def _draws(*, mosaic, centre=(100, 100), zoom=1.0, flips=(False, False)):
    """Draw for image 0 alone, nothing moved but what is named."""
    canvas = np.array([[200, 200]]) if mosaic else SIZES[:1]
    nothing, middle = np.zeros((1, 2)), np.full((1, 2), SIDE / 2)
    warp = WarpParameters(nothing, np.zeros(1), np.array([zoom]), nothing, middle)
    parts = (
        [0, 1, 2, 3],
        mosaic,
        centre,
        parameters.matrix(canvas, warp)[0],
        zoom,
        flips,
        (0.0, 0.0, 0.0),
        False,
    )
    return BatchParameters(*(np.array([part]) for part in parts))


def _boxes(draws):
    placed = gpu_loader_mosaic.place(draws, SIZES, SIDE)
    shares, classes, images = gpu_loader_mosaic.boxes(draws, placed, HALF, SIZES, SIDE)
    assert not images.any()
    return dict(zip(classes.astype(int).tolist(), (shares * SIDE).round(6).tolist(), strict=True))


def test_the_four_meet_at_the_centre_and_are_cut_at_the_edge():
    placed = gpu_loader_mosaic.place(_draws(mosaic=True, centre=(80, 120)), SIZES, SIDE)
    assert placed.offset[0].tolist() == [[-20, 70], [80, 20], [20, 120], [80, 120]]
    assert placed.seen[0].tolist() == [
        [0, 70, 80, 120],
        [80, 20, 180, 120],
        [20, 120, 80, 200],
        [80, 120, 180, 200],
    ]


def test_an_image_alone_shows_itself():
    placed = gpu_loader_mosaic.place(_draws(mosaic=False), SIZES, SIDE)
    assert placed.seen[0].tolist() == [[0, 0, 100, 50], *[[0] * 4] * 3]
    assert _boxes(_draws(mosaic=False)) == {0: [50, 50, 50, 25]}


def test_boxes_lie_where_their_images_do():
    found = _boxes(_draws(mosaic=True, zoom=0.5))
    assert found == {0: [25, 37.5, 25, 12.5], 1: [75, 25, 25, 25], 2: [35, 75, 15, 25], 3: [75, 75, 25, 25]}


@pytest.mark.parametrize(("flips", "x", "y"), [((True, False), 75, 37.5), ((False, True), 25, 62.5)])
def test_a_flip_takes_boxes_along(flips, x, y):
    assert _boxes(_draws(mosaic=True, zoom=0.5, flips=flips))[0] == [x, y, 25, 12.5]


def test_the_way_back_undoes_matrix_and_flips():
    draws = _draws(mosaic=True, zoom=0.5, flips=(True, True))
    seen = draws.matrix[0] @ [40, 60, 1]
    back = look_back(draws, SIDE)[0] @ [SIDE - 1 - seen[0], SIDE - 1 - seen[1], 1]
    assert back == pytest.approx([40, 60, 1])


@pytest.mark.parametrize(("zoom", "kept"), [(0.04, set()), (1.0, {0, 1, 2, 3}), (1.5, {0, 2}), (1.6, set())])
def test_a_box_is_dropped_where_a_tenth_or_two_pixels_are_left(zoom, kept):
    """At 1.5 times 14, 3, 10.2 and 3% of the four are left, at 1.6 times 9% at most."""
    assert set(_boxes(_draws(mosaic=True, zoom=zoom))) == kept


def test_tables_turn_hues_and_stretch_the_rest():
    same, changed = gpu_loader_mosaic.tables(np.array([[0.0, 0.0, 0.0], [0.5, -0.5, 1.0]]))
    assert same[0, :180].tolist() == list(range(180))
    assert same[1:].tolist() == [list(range(256))] * 2
    assert changed[0, [0, 90, 100]].tolist() == [90, 0, 10]
    assert changed[:, 101].tolist() == [11, 50, 202]
    assert gpu_loader_mosaic.tables(np.array([[0.0, 1.0, 0.0]]))[0, 1, [0, 1, 200]].tolist() == [0, 2, 255]
