"""Mosaic geometry, boxes after the warp, and color tables of the GPU loader, on small examples."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.yolo.gpu_loader.mosaic import (
    BoxTable,
    build_color_tables,
    invert_matrices,
    place_tiles,
    transform_boxes,
)
from pipeline.yolo.gpu_loader.parameters import BatchParameters, WarpParameters, build_matrices

SIDE = 100
SIZES = np.array([[100, 50], [100, 100], [60, 100], [100, 100]])
HALF = BoxTable(np.array([[0.5, 0.5, 0.5, 0.5]] * 4), np.arange(4.0), np.arange(5))
"""Each image has one box: its inner half."""


def _parameters(*, mosaic, center=(100, 100), scale=1.0, flips=(False, False)):
    """Return the parameters of image 0; only the named ones differ from an unchanged image."""
    canvas = np.array([[200, 200]]) if mosaic else SIZES[:1]
    zeros, middle = np.zeros((1, 2)), np.full((1, 2), SIDE / 2)
    warp = WarpParameters(zeros, np.zeros(1), np.array([scale]), zeros, middle)
    parts = (
        [0, 1, 2, 3],
        mosaic,
        center,
        build_matrices(canvas, warp)[0],
        scale,
        flips,
        (0.0, 0.0, 0.0),
        False,
    )
    return BatchParameters(*(np.array([part]) for part in parts))


def _boxes(parameters):
    tiles = place_tiles(parameters, SIZES, SIDE)
    shares, classes, images = transform_boxes(parameters, tiles, HALF, SIZES, SIDE)
    assert not images.any()
    return dict(zip(classes.astype(int).tolist(), (shares * SIDE).round(6).tolist(), strict=True))


def test_four_images_meet_at_the_center_and_are_cut_at_the_edge():
    tiles = place_tiles(_parameters(mosaic=True, center=(80, 120)), SIZES, SIDE)
    assert tiles.offset[0].tolist() == [[-20, 70], [80, 20], [20, 120], [80, 120]]
    assert tiles.visible[0].tolist() == [
        [0, 70, 80, 120],
        [80, 20, 180, 120],
        [20, 120, 80, 200],
        [80, 120, 180, 200],
    ]


def test_without_mosaic_the_image_covers_its_own_size():
    tiles = place_tiles(_parameters(mosaic=False), SIZES, SIDE)
    assert tiles.visible[0].tolist() == [[0, 0, 100, 50], *[[0] * 4] * 3]
    assert _boxes(_parameters(mosaic=False)) == {0: [50, 50, 50, 25]}


def test_boxes_move_with_their_images():
    found = _boxes(_parameters(mosaic=True, scale=0.5))
    assert found == {0: [25, 37.5, 25, 12.5], 1: [75, 25, 25, 25], 2: [35, 75, 15, 25], 3: [75, 75, 25, 25]}


@pytest.mark.parametrize(("flips", "x", "y"), [((True, False), 75, 37.5), ((False, True), 25, 62.5)])
def test_flip_moves_boxes(flips, x, y):
    assert _boxes(_parameters(mosaic=True, scale=0.5, flips=flips))[0] == [x, y, 25, 12.5]


def test_inverted_matrix_undoes_matrix_and_flips():
    parameters = _parameters(mosaic=True, scale=0.5, flips=(True, True))
    seen = parameters.matrix[0] @ [40, 60, 1]
    back = invert_matrices(parameters, SIDE)[0] @ [SIDE - 1 - seen[0], SIDE - 1 - seen[1], 1]
    assert back == pytest.approx([40, 60, 1])


@pytest.mark.parametrize(("scale", "kept"), [(0.04, set()), (1.0, {0, 1, 2, 3}), (1.5, {0, 2}), (1.6, set())])
def test_box_is_dropped_below_a_tenth_of_its_area_or_two_pixels(scale, kept):
    """At 1.5 times 14, 3, 10.2 and 3% of the four are left, at 1.6 times 9% at most."""
    assert set(_boxes(_parameters(mosaic=True, scale=scale))) == kept


def test_color_tables_rotate_hue_and_scale_saturation_and_value():
    same, changed = build_color_tables(np.array([[0.0, 0.0, 0.0], [0.5, -0.5, 1.0]]))
    assert same[0, :180].tolist() == list(range(180))
    assert same[1:].tolist() == [list(range(256))] * 2
    assert changed[0, [0, 90, 100]].tolist() == [90, 0, 10]
    assert changed[:, 101].tolist() == [11, 50, 202]
    assert build_color_tables(np.array([[0.0, 1.0, 0.0]]))[0, 1, [0, 1, 200]].tolist() == [0, 2, 255]
