"""Boxes that do not fit their images: what is refused, what is not, and what they look like."""

from pathlib import Path

import numpy as np
import pytest

from pipeline.core.annotations import RawObjects
from pipeline.core.errors import UserError
from pipeline.source.plausibility.box_meaning import refuse_misread_boxes
from pipeline.source.types import AnnotatedImage, Source

SIZE = (200, 100)
INSIDE = [[10.0 * n, 5.0 * n, 10 * n + 30, 5 * n + 20] for n in range(10)]


def build_source(boxes, *, size=SIZE, normalized=False):
    raw = RawObjects(np.zeros(len(boxes), np.int64), np.array(boxes, np.float64), ("",) * len(boxes))
    return Source(
        ("a",), (AnnotatedImage(Path("x.jpg"), "x.jpg", None, raw, normalized=normalized, size=size),)
    )


@pytest.mark.parametrize("meaning", ["corners", "extent", "centre"])
def test_boxes_inside_their_images_are_accepted(meaning):
    source = build_source(INSIDE)
    assert refuse_misread_boxes(source, meaning, "auto") is source


@pytest.mark.parametrize(
    "bad",
    [
        [[50, 50, 20, 20]] * 2,
        [[150, 50, 230, 90]] * 2,
        [[-2, 0, 203, 101]] * 10,
    ],
)
def test_few_faults_and_small_overhangs_are_no_misread_format(bad):
    refuse_misread_boxes(build_source([*INSIDE, *bad]), "corners", "auto")


@pytest.mark.parametrize(
    ("boxes", "meaning", "look"),
    [
        ([[90.0 + n, 60, 30, 20] for n in range(10)], "corners", "x y width height"),
        ([[60, 90.0 + n, 90, 110 + n] for n in range(10)], "corners", "y1 x1 y2 x2"),
        ([[0.1, 0.2, 0.5, 0.9]] * 10, "corners", "shares of the image size"),
        ([[150.0, 50, 150 + 190, 50 + 90]] * 10, "extent", "x1 y1 x2 y2"),
        ([[500.0, 300, 900, 700]] * 10, "corners", "boxes of images of another size"),
    ],
)
def test_misread_boxes_are_refused_with_what_they_look_like(boxes, meaning, look):
    with pytest.raises(UserError, match=look):
        refuse_misread_boxes(build_source(boxes), meaning, "auto")
    refuse_misread_boxes(build_source(boxes), meaning, "pixels")


def test_shares_are_compared_with_the_unit_square():
    source = build_source([[0.1, 0.2, 0.5, 0.9]] * 10, normalized=True)
    assert refuse_misread_boxes(source, "corners", "auto") is source
    with pytest.raises(UserError, match="beyond the image"):
        refuse_misread_boxes(build_source([[0.9, 0.9, 1.5, 1.2]] * 10, normalized=True), "corners", "auto")
