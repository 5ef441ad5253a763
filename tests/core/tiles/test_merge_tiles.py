"""Detections of overlapping tiles become those of the image: known objects, each found once."""

from __future__ import annotations

from itertools import combinations, pairwise

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.core.detections import Detections
from pipeline.core.geometry.masks import rasterize_outline
from pipeline.core.tiles.merge_tiles import merge_tile_detections
from pipeline.core.tiles.plan_tiles import iterate_overlapping_pairs, plan_tiles

SIDE = 100
HOW = {"iou": 0.7, "max_det": 300}


def _show(boxes, classes, tile, *, seen=0.0, noise=0.0, rng=None):
    """Return what a perfect model finds in a tile: the part of each object inside, in its pixels."""
    low, high = np.array(tile[:2] * 2), np.array(tile[2:] * 2)
    clipped = np.clip(boxes, low, high)
    areas = (clipped[:, 2:] - clipped[:, :2]).prod(axis=1)
    visible = (areas > 0) & (areas >= seen * (boxes[:, 2:] - boxes[:, :2]).prod(axis=1))
    shown = clipped[visible] - low
    if rng is not None:
        shown = np.clip(shown + rng.normal(0, noise, shown.shape), 0, high - low)
    scores = 0.9 - 0.001 * np.flatnonzero(visible)
    return Detections(shown, scores, np.asarray(classes)[visible])


def _merge(boxes, classes, size, *, overlap=0.2, side=SIDE, **how):
    tiles = plan_tiles(size, side, overlap)
    found = [_show(np.array(boxes, float), classes, tile, **how) for tile in tiles]
    return merge_tile_detections(tiles, found, size, **HOW)


def _sort(boxes):
    return np.array(sorted(np.asarray(boxes).tolist()))


@pytest.mark.parametrize(
    "box",
    [
        pytest.param((10, 10, 30, 30), id="in one tile"),
        pytest.param((83, 20, 97, 40), id="whole in two tiles"),
        pytest.param((70, 20, 90, 40), id="whole in one, cut in another"),
        pytest.param((60, 20, 130, 40), id="cut in both"),
        pytest.param((60, 60, 130, 130), id="cut by two borders"),
        pytest.param((5, 40, 255, 60), id="longer than two tiles"),
        pytest.param((5, 5, 255, 255), id="nearly all of the image"),
        pytest.param((0, 0, 260, 260), id="all of the image"),
        pytest.param((98, 0, 101, 260), id="thin, along a border"),
    ],
)
def test_an_object_is_found_once_wherever_the_borders_are(box):
    found = _merge([box], [3], (260, 260))
    np.testing.assert_allclose(found.boxes, [box])
    assert found.classes.tolist() == [3]
    assert found.scores.tolist() == [0.9]


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_random_objects_are_found_once_each(data):
    """Objects that do not touch, of any size, in tiles of any overlap."""
    size = data.draw(st.tuples(st.integers(60, 400), st.integers(60, 400)))
    overlap = data.draw(st.floats(0.1, 0.6))
    boxes = _draw_apart(data, size)
    classes = [index % 2 for index in range(len(boxes))]
    found = _merge(boxes, classes, size, overlap=overlap)
    np.testing.assert_allclose(_sort(found.boxes), _sort(boxes))
    assert sorted(found.classes.tolist()) == sorted(classes)


def _draw_apart(data, size):
    boxes = []
    for _ in range(data.draw(st.integers(1, 12))):
        left, top = (data.draw(st.integers(0, length - 6)) for length in size)
        width, height = (data.draw(st.integers(5, 150)) for _ in range(2))
        box = (left, top, min(left + width, size[0]), min(top + height, size[1]))
        if not any(shapely.box(*box).intersects(shapely.box(*other)) for other in boxes):
            boxes.append(box)
    return boxes


@pytest.mark.parametrize(("size", "overlap"), [((1000, 400), 0.2), ((333, 777), 0.6), ((250, 90), 0.0)])
def test_only_tiles_with_common_pixels_are_compared(size, overlap):
    tiles = plan_tiles(size, SIDE, overlap)
    pairs = combinations(enumerate(tiles), 2)
    expected = [(here, there) for (here, one), (there, other) in pairs if one.intersect(other)]
    assert list(iterate_overlapping_pairs(tiles)) == expected
    assert len(expected) < len(tiles) * (len(tiles) - 1) / 2


def test_inexact_boxes_of_small_objects_are_found_once_each():
    rng = np.random.default_rng(0)
    grid = np.stack(np.meshgrid(np.arange(8, 480, 31), np.arange(8, 480, 29)), axis=-1).reshape(-1, 2)
    boxes = np.concatenate([grid, grid + rng.integers(12, 20, grid.shape)], axis=1).astype(float)
    found = _merge(boxes, np.zeros(len(boxes), int), (500, 500), seen=0.25, noise=0.7, rng=rng)
    assert len(found.boxes) == len(boxes)
    assert np.abs(_nearest(found.boxes, boxes) - found.boxes).max() < 4


def _nearest(boxes, others):
    return others[np.abs(boxes[:, None] - others[None]).sum(axis=2).argmin(axis=1)]


def test_neighbours_and_nested_objects_stay_apart():
    """Side by side at a border; one in the other; two classes at one place."""
    boxes = [(70, 10, 90, 30), (91, 10, 111, 30), (60, 50, 140, 98), (84, 60, 96, 75), (60, 50, 140, 98)]
    found = _merge(boxes, [0, 0, 0, 0, 1], (260, 100))
    np.testing.assert_allclose(_sort(found.boxes), _sort(boxes))


def test_doubles_that_the_model_reports_in_one_tile_stay():
    """NMS-free heads may report two boxes of one object: merging tiles does not change that."""
    tiles = plan_tiles((150, 100), SIDE, 0.5)
    twice = Detections(np.array([[5.0, 5, 40, 40], [5, 5, 41, 41]]), np.array([0.9, 0.8]), np.zeros(2, int))
    nothing = Detections(np.zeros((0, 4)), np.zeros(0), np.zeros(0, int))
    assert len(merge_tile_detections(tiles, [twice, nothing], (150, 100), **HOW).boxes) == 2


def test_one_tile_is_the_image_itself():
    found = Detections(np.array([[1.0, 2, 3, 4]]), np.array([0.5]), np.array([1]), (np.ones((3, 2)),))
    [tile] = plan_tiles((100, 80), SIDE, 0.2)
    merged = merge_tile_detections([tile], [found], (100, 80), **HOW)
    assert merged.boxes.tolist() == found.boxes.tolist()
    assert len(merged.outlines) == 1


def test_the_best_detections_are_kept_where_there_are_too_many():
    boxes = [(10 + 25 * index, 10, 30 + 25 * index, 30) for index in range(9)]
    tiles = plan_tiles((260, 100), SIDE, 0.2)
    found = [_show(np.array(boxes, float), np.zeros(9, int), tile) for tile in tiles]
    merged = merge_tile_detections(tiles, found, (260, 100), iou=0.7, max_det=4)
    np.testing.assert_allclose(merged.scores, [0.9, 0.899, 0.898, 0.897])


def test_masks_are_joined_to_the_pixels_of_the_whole_object():
    """Two parallel diagonal stripes, whose boxes overlap, both cut by borders."""
    size = (260, 120)
    stripes = [np.array([[x, 5], [x + 12, 5], [x + 72, 115], [x + 60, 115]], float) for x in (50, 75)]
    whole = [rasterize_outline(stripe, size) for stripe in stripes]
    canvases = [_paint(mask, size) for mask in whole]
    tiles = plan_tiles(size, SIDE, 0.3)
    merged = merge_tile_detections(tiles, [_show_masks(canvases, tile) for tile in tiles], size, **HOW)
    assert len(merged.masks) == 2
    for mask in merged.masks:
        assert any((_paint(mask, size) == canvas).all() for canvas in canvases)


def _show_band_and_small_object(size):
    """Return masks of a band from corner to corner, and of an object in its box that a border cuts."""
    band = np.array([[0, 0], [12, 0], [300, 288], [300, 300], [288, 300], [0, 12]], float)
    small = np.array([[190, 20], [250, 20], [250, 40], [190, 40]], float)
    return [_paint(rasterize_outline(outline, size), size) for outline in (band, small)]


@pytest.mark.parametrize("has_masks", [True, False])
def test_an_object_in_the_box_of_a_diagonal_band_is_kept(has_masks):
    """Every tile cuts both; the smaller one is joined from its parts, and is no part that was left over."""
    size = (300, 300)
    canvases, tiles = _show_band_and_small_object(size), plan_tiles(size, SIDE, 0.2)
    shown = [_show_masks(canvases, tile) for tile in tiles]
    found = [each if has_masks else each._replace(masks=()) for each in shown]
    merged = merge_tile_detections(tiles, found, size, **HOW)
    np.testing.assert_allclose(_sort(merged.boxes), [[0, 0, 300, 300], [190, 20, 250, 40]])


def test_a_part_that_lies_in_the_box_of_another_mask_alone_is_kept():
    """The model misses the right part of the smaller object."""
    size = (300, 300)
    canvases, tiles = _show_band_and_small_object(size), plan_tiles(size, SIDE, 0.2)
    shown = [_show_masks(canvases if tile.right < 250 else canvases[:1], tile) for tile in tiles]
    merged = merge_tile_detections(tiles, shown, size, **HOW)
    assert len(merged.masks) == 2


def _paint(mask, size):
    canvas = np.zeros(size[::-1], bool)
    height, width = mask.pixels.shape
    canvas[mask.top : mask.top + height, mask.left : mask.left + width] = mask.pixels
    return canvas


def _show_masks(canvases, tile):
    from pipeline.core.geometry.masks import ObjectMask

    boxes, masks = [], []
    for canvas in canvases:
        part = canvas[tile.top : tile.bottom, tile.left : tile.right]
        rows, columns = np.nonzero(part)
        if len(rows):
            left, top, right, bottom = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
            boxes.append([left, top, right, bottom])
            masks.append(ObjectMask(int(left), int(top), part[top:bottom, left:right]))
    count = len(boxes)
    return Detections(
        np.array(boxes, float).reshape(-1, 4), np.full(count, 0.9), np.zeros(count, int), masks=tuple(masks)
    )


def test_rotated_boxes_are_joined_along_their_direction():
    """A long thin one through three tiles, and a parallel one beside it."""
    size = (260, 260)
    ships = [_rotated((x, 130), 200, 14, 0.7) for x in (100, 140)]
    tiles = plan_tiles(size, SIDE, 0.3)
    merged = merge_tile_detections(tiles, [_show_rotated(ships, tile) for tile in tiles], size, **HOW)
    assert len(merged.outlines) == 2
    for outline in merged.outlines:
        overlaps = [
            shapely.Polygon(outline).intersection(shapely.Polygon(ship)).area
            / shapely.Polygon(outline).union(shapely.Polygon(ship)).area
            for ship in ships
        ]
        assert max(overlaps) > 0.85


def _rotated(center, length, width, angle):
    along, across = np.array([np.cos(angle), np.sin(angle)]), np.array([-np.sin(angle), np.cos(angle)])
    signs = ((-1, -1), (1, -1), (1, 1), (-1, 1))
    return np.array([np.add(center, x * length / 2 * along + y * width / 2 * across) for x, y in signs])


def _show_rotated(ships, tile):
    shown = []
    for ship in ships:
        part = shapely.Polygon(ship).intersection(shapely.box(*tile))
        if part.area > 100:
            around = np.array(shapely.minimum_rotated_rectangle(part).exterior.coords[:4])
            shown.append(around - tile[:2])
    boxes = np.array([[*corners.min(axis=0), *corners.max(axis=0)] for corners in shown]).reshape(-1, 4)
    return Detections(boxes, np.full(len(shown), 0.9), np.zeros(len(shown), int), tuple(shown))


def test_each_point_of_a_pose_comes_from_a_tile_that_shows_it():
    size, box = (180, 100), np.array([60.0, 20, 130, 60])
    points = np.array([[62.0, 40], [95, 40], [128, 40]])
    tiles = plan_tiles(size, SIDE, 0.2)
    found = []
    for tile in tiles:
        one = _show(box[None], [0], tile)
        inside = (points[:, 0] > tile.left) & (points[:, 0] < tile.right)
        guessed = np.clip(points, tile[:2], tile[2:]) - tile[:2]  # a model guesses what it does not see
        confidence = np.where(inside, 0.8, 0.9)[:, None]
        found.append(one._replace(keypoints=np.concatenate([guessed, confidence], axis=1)[None]))
    merged = merge_tile_detections(tiles, found, size, **HOW)
    np.testing.assert_allclose(merged.keypoints[0, :, :2], points)


@given(st.integers(1, 3000), st.integers(1, 3000), st.integers(32, 900), st.floats(0, 0.9))
@settings(max_examples=200, deadline=None)
def test_tiles_cover_the_image_and_overlap(width, height, side, overlap):
    tiles = plan_tiles((width, height), side, overlap)
    assert {(t.right - t.left, t.bottom - t.top) for t in tiles} == {(min(side, width), min(side, height))}
    for low, high, length in (("left", "right", width), ("top", "bottom", height)):
        spans = sorted({(getattr(tile, low), getattr(tile, high)) for tile in tiles})
        assert (spans[0][0], spans[-1][1]) == (0, length)
        for (_, end), (start, _) in pairwise(spans):
            assert end - start >= side * overlap - 1
