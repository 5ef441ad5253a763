"""The drawn images of the foundation weights: repeatable, exactly labeled, with every class."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from pipeline.source.synthetic import shapes
from pipeline.source.synthetic.background import crop_photograph, shrink_photograph
from pipeline.source.synthetic.painting import PaintStyle
from pipeline.source.synthetic.picture import DrawnImage
from pipeline.source.synthetic.placement import Placement
from pipeline.source.synthetic.shapes import SHAPE_CLASSES, draw_shapes_image

PIXELS, SEED, GRAY = 128, 7, 90
DISC = SHAPE_CLASSES.index("disc")


@pytest.fixture(scope="module")
def drawings() -> list[DrawnImage]:
    return [draw_shapes_image(index, seed=SEED, pixels=PIXELS) for index in range(100)]


@pytest.fixture
def draw_plain(monkeypatch) -> Callable[[list[Placement]], DrawnImage]:
    """Return a function that draws given objects in plain paint on a gray background, without a camera."""
    plain = PaintStyle("over", 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    background = np.full((PIXELS, PIXELS, 3), GRAY, np.float32)
    monkeypatch.setattr(shapes, "PHOTOGRAPHS", 0.0)
    monkeypatch.setattr(shapes, "draw_background", lambda *_: background.copy())
    monkeypatch.setattr(shapes, "draw_distractors", lambda *_: None)
    monkeypatch.setattr(shapes, "simulate_camera", lambda _, scene: np.rint(scene).astype(np.uint8))
    monkeypatch.setattr(shapes, "sample_object_color", lambda *_: np.full(3, 250, np.float32))
    monkeypatch.setattr(shapes, "sample_paint_style", lambda *_: plain)

    def draw_these(places: list[Placement]) -> DrawnImage:
        monkeypatch.setattr(shapes, "sample_placements", lambda *_: places)
        return draw_shapes_image(0, seed=SEED, pixels=PIXELS)

    return draw_these


def _are_equal(first: DrawnImage, second: DrawnImage) -> bool:
    pairs = zip((*first[:3], *first.polygons), (*second[:3], *second.polygons), strict=True)
    return all(np.array_equal(one, other) for one, other in pairs)


def test_image_does_not_depend_on_earlier_ones(drawings):
    for index in (41, 3, 97):
        assert _are_equal(draw_shapes_image(index, seed=SEED, pixels=PIXELS), drawings[index])


def test_index_and_seed_both_change_the_image(drawings):
    assert not np.array_equal(drawings[0].image, drawings[1].image)
    assert not np.array_equal(drawings[0].image, draw_shapes_image(0, seed=SEED + 1, pixels=PIXELS).image)


@pytest.mark.parametrize("pixels", [64, 128, 200])
def test_image_has_the_requested_size_and_contrast(pixels):
    drawing = draw_shapes_image(5, seed=SEED, pixels=pixels)
    assert drawing.image.shape == (pixels, pixels, 3)
    assert drawing.image.dtype == np.uint8
    assert drawing.image.std() > 1


def test_boxes_are_inside_the_image_and_not_tiny(drawings):
    boxes = np.concatenate([drawing.boxes for drawing in drawings])
    assert boxes.min() >= 0
    assert boxes.max() <= PIXELS
    assert (boxes[:, 2:] - boxes[:, :2]).min() >= 4


def test_every_object_has_a_box_a_class_and_an_outline(drawings):
    for drawing in drawings:
        assert drawing.boxes.shape == (len(drawing.classes), 4)
        assert len(drawing.polygons) == len(drawing.classes)
        assert all(polygon.ndim == 2 and len(polygon) >= 3 for polygon in drawing.polygons)


def test_outlines_are_inside_their_boxes_and_mostly_fill_them(drawings):
    """A box encloses all visible pieces and an outline the largest: inside the box, and rarely smaller."""
    filled = []
    for drawing in drawings:
        for box, polygon in zip(drawing.boxes, drawing.polygons, strict=True):
            low, high = polygon.min(0), polygon.max(0)
            assert (low >= box[:2]).all()
            assert (high <= box[2:]).all()
            filled.append(max(np.abs(low - box[:2]).max(), np.abs(high - box[2:]).max()) <= 1)
    assert np.mean(filled) > 0.9


def test_box_is_tight_around_the_painted_pixels(draw_plain):
    for kind in range(len(SHAPE_CLASSES)):
        drawing = draw_plain([Placement(kind, 64.0, 64.0, 40.0)])
        rows, columns = np.nonzero(drawing.image[..., 0] > GRAY + 80)
        painted = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        assert np.abs(painted - drawing.boxes[0]).max() <= 1, SHAPE_CLASSES[kind]


def test_box_is_clipped_to_the_image(draw_plain):
    drawing = draw_plain([Placement(DISC, 0.0, 64.0, 30.0)])
    assert drawing.boxes[0, 0] == 0
    assert drawing.boxes[0, 2] == pytest.approx(31, abs=1)


def test_hidden_object_has_no_label(draw_plain):
    drawing = draw_plain([Placement(DISC, 64.0, 64.0, 20.0), Placement(DISC, 64.0, 64.0, 50.0)])
    assert len(drawing.classes) == 1
    assert drawing.boxes[0, 2] - drawing.boxes[0, 0] > 60


def test_box_shrinks_to_the_visible_part(draw_plain):
    alone = draw_plain([Placement(DISC, 50.0, 64.0, 30.0)]).boxes[0]
    covered = draw_plain([Placement(DISC, 50.0, 64.0, 30.0), Placement(DISC, 80.0, 64.0, 40.0)]).boxes[0]
    assert covered[0] == alone[0]
    assert covered[2] < alone[2] - 10


def test_all_classes_appear_and_none_dominates(drawings):
    counts = np.bincount(np.concatenate([d.classes for d in drawings]), minlength=len(SHAPE_CLASSES))
    assert len(counts) == len(SHAPE_CLASSES) == 30
    assert counts.min() > 0
    assert counts.max() < 0.2 * counts.sum()


def test_scenes_range_from_few_to_many_objects(drawings):
    counts = [len(drawing.classes) for drawing in drawings]
    assert min(counts) == 0
    assert 1 in counts
    assert max(counts) >= 20


def test_class_names_are_unique_and_differ_from_the_demo():
    assert len(set(SHAPE_CLASSES)) == len(SHAPE_CLASSES)
    assert not set(SHAPE_CLASSES) & {"scratch", "pit", "stain", "crack"}


def test_a_part_of_the_backgrounds_are_crops_of_photographs(monkeypatch):
    monkeypatch.setattr(shapes, "EMPTY_PHOTOGRAPHS", 1.0)
    shares = []
    for photographs in (0.0, 0.5, 1.0):
        monkeypatch.setattr(shapes, "PHOTOGRAPHS", photographs)
        drawn = [draw_shapes_image(index, seed=SEED, pixels=64) for index in range(40)]
        shares.append(np.mean([not len(drawing.classes) for drawing in drawn]))
    assert shares[0] == 0
    assert 0.25 < shares[1] < 0.75
    assert shares[2] == 1


def test_crops_of_photographs_differ_and_are_repeatable():
    first, again, other = (crop_photograph(np.random.default_rng(seed), 64) for seed in (1, 1, 2))
    assert first.shape == (64, 64, 3)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert 0 <= first.min() < first.max() <= 255


def test_a_shrunk_photograph_is_an_average_of_its_pixels():
    checkerboard = np.indices((240, 320)).sum(0)[..., None] % 2 * np.full(3, 200, np.uint8)
    shrunk = shrink_photograph(checkerboard.astype(np.uint8), 0.25)
    assert shrunk.shape == (60, 80, 3)
    assert abs(shrunk.astype(float) - 100).max() <= 1  # sampled pixels would be 0 or 200
    assert shrink_photograph(shrunk, 1.5) is shrunk
