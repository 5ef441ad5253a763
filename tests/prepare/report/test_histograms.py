"""Counts for the charts of the dataset report."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.core.geometry.rotated_boxes import measure_rotated_sides
from pipeline.prepare.report.histograms import (
    HEAT_MAP_CELLS,
    compute_tiny_shares,
    count_aspect_ratios,
    count_box_extents,
    count_brightness,
    count_cell_coverage,
    count_co_occurrence,
    count_object_sizes,
    count_objects_per_image,
    count_sharpness,
    find_extreme_images,
    measure_shorter_sides,
)
from pipeline.prepare.report.statistics import ImageStatistics, build_columns, describe_splits

SHARES = st.floats(0, 1, width=32)


def build_table(*boxes: Any, size=(640, 480), split="train", classes=None):
    found = np.array(boxes, np.float64).reshape(-1, 4)
    return build_columns([ImageStatistics(split, size, classes or [0] * len(found), found, "", 0.5, 100.0)])


def test_object_size_is_the_shorter_side_in_the_scaled_image():
    found = build_table([0, 0, 20, 100], [0, 0, 200, 14], size=(1280, 720))
    assert measure_shorter_sides(found).tolist() == [10, 7]
    counts = count_object_sizes(found).counts["train"]
    assert counts == (0, 1, 1, 0, 0, 0, 0, 0, 0)


def test_the_sides_of_a_rotated_box_are_its_own():
    corners = np.array([[0.0, 4], [4, 0], [104, 100], [100, 104]])  # 5.66 x 141.4 pixels, askew
    upright = np.array([[0.0, 0, 104, 104]])
    sides = measure_rotated_sides([corners])
    image = ImageStatistics("train", (640, 640), [0], upright, sides=sides)
    found = build_columns([image, image._replace(split="val", sides=None)])
    assert measure_shorter_sides(found).tolist() == [5.657, 104]
    described = describe_splits([image], ["ship"])["train"]
    assert described["box_area_share"]["max"] == pytest.approx(800 / 640**2, abs=1e-6)
    assert measure_rotated_sides([]).shape == (0, 2)


def test_tiny_share_depends_on_imgsz():
    found = build_table([0, 0, 15, 100], [0, 0, 200, 31], size=(1280, 720))
    assert compute_tiny_shares(found) == {256: 1.0, 320: 1.0, 640: 0.5, 1280: 0.0}
    assert compute_tiny_shares(build_table()) == {256: 0.0, 320: 0.0, 640: 0.0, 1280: 0.0}


def test_every_object_is_counted_in_each_histogram():
    rng = np.random.default_rng(0)
    corners = np.sort(rng.uniform(0, 640, (500, 2, 2)), axis=1).reshape(500, 4)
    corners[:, 2:] += 1
    found = build_table(*corners, size=(641, 641))
    assert sum(count_object_sizes(found).counts["train"]) == 500
    assert sum(count_aspect_ratios(found).counts["train"]) == 500
    assert count_box_extents(found.boxes).sum() == 500


def test_square_is_in_the_middle_bin_of_aspect_ratios():
    counts = count_aspect_ratios(build_table([0, 0, 30, 30])).counts["train"]
    assert counts.index(1) == len(counts) // 2
    assert count_aspect_ratios(build_table([0, 0, 40, 10])).counts["train"].index(1) == len(counts) // 2 + 4


def test_objects_per_image_have_bins_of_integer_width():
    box = np.array([[0.0, 0, 5, 5]])
    images = [ImageStatistics("train", (10, 10), [0] * n, np.tile(box, (n, 1))) for n in (0, 2, 2)]
    found = count_objects_per_image(build_columns(images))
    assert found.edges == (1, 2, 3)  # images without objects would hide all others; the page counts them
    assert found.counts == {"train": (0, 2), "val": (0, 0), "test": (0, 0)}
    crowd = [ImageStatistics("val", (10, 10), [0] * 100, np.tile(box, (100, 1)))]
    assert count_objects_per_image(build_columns(crowd)).counts["val"][-1] == 1
    assert len(count_objects_per_image(build_columns(crowd)).counts["val"]) <= 24


@given(st.lists(st.tuples(SHARES, SHARES, SHARES, SHARES), max_size=12))
@settings(max_examples=60, deadline=None)
def test_coverage_counts_the_boxes_over_each_cell(corners):
    boxes = np.array([[min(a, c), min(b, d), max(a, c), max(b, d)] for a, b, c, d in corners]).reshape(-1, 4)
    found = count_cell_coverage(boxes)
    middle = (np.arange(HEAT_MAP_CELLS) + 0.5) / HEAT_MAP_CELLS
    inside = (boxes[:, None, :2] <= middle[:, None]) & (middle[:, None] <= boxes[:, None, 2:])
    at = inside[:, None, :, 0] & inside[:, :, None, 1]
    assert (found >= at.sum(axis=0)).all()
    assert found.max(initial=0) <= len(boxes)
    assert found.min() >= 0
    assert (found.sum() > 0) == bool(len(boxes))


def test_coverage_is_exact_for_boxes_that_end_at_cell_edges():
    found = count_cell_coverage(np.array([[0, 0, 0.5, 0.25], [0, 0, 1, 1]]))
    half, quarter = HEAT_MAP_CELLS // 2, HEAT_MAP_CELLS // 4
    assert (found[:quarter, :half] == 2).all()
    assert (found[quarter:] == 1).all()
    assert (found[:, half:] == 1).all()


def test_box_as_large_as_the_image_is_in_the_upper_right_cell():
    grid = count_box_extents(np.array([[0.0, 0, 1, 1], [0, 0, 1 / 256, 1]]))
    assert grid[0, -1] == 1
    assert grid[0, 0] == 1


def test_co_occurrence_counts_images_not_objects():
    boxes = np.tile([[0.0, 0, 5, 5]], (3, 1))
    images = [
        ImageStatistics("train", (9, 9), [0, 0, 1], boxes),
        ImageStatistics("val", (9, 9), [2], boxes[:1]),
    ]
    assert count_co_occurrence(build_columns(images), [0, 1, 2]).tolist() == [[1, 1, 0], [1, 1, 0], [0, 0, 1]]
    assert count_co_occurrence(build_columns(images), [2, 0]).tolist() == [[1, 0], [0, 1]]


def test_extreme_images_exclude_missing_values():
    values = np.array([0.3, np.nan, 0.1, 0.9, 0.5])
    assert find_extreme_images(values, 2) == ([2, 0], [3, 4])
    assert find_extreme_images(values[:1], 6) == ([], [])


@pytest.mark.parametrize("look", [float("nan"), 0.0, 1.0])
def test_brightness_and_sharpness_bins_contain_any_value(look):
    images = [ImageStatistics("train", (9, 9), [], np.zeros((0, 4)), "", look, look)]
    for histogram in (count_brightness(build_columns(images)), count_sharpness(build_columns(images))):
        assert np.isfinite(histogram.edges).all()
        assert sum(histogram.counts["train"]) == (0 if np.isnan(look) else 1)


def test_selected_split_keeps_its_own_objects():
    both = build_columns([
        ImageStatistics("train", (10, 10), [0, 1], np.array([[0.0, 0, 5, 5], [1, 1, 3, 3]]), "a", 0.1, 1.0),
        ImageStatistics("val", (20, 10), [2], np.array([[0.0, 0, 10, 5]]), "b", 0.9, 2.0),
    ])  # fmt: skip
    val = both.select_split("val")
    assert (val.image_index.tolist(), val.classes.tolist(), val.sources) == ([0], [2], ("b",))
    assert val.sides.tolist() == [[10, 5]]
    assert both.select_split("train").objects_per_image.tolist() == [2]
