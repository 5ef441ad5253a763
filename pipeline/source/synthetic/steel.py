"""Draw the steel demo: a steel surface with flaws as an inspection camera sees it, with exact labels."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from pipeline.core.arrays import BoolArray, Float32Array
from pipeline.source.synthetic.picture import DrawnImage, tight_box, to_float32
from pipeline.source.synthetic.steel_flaws import (
    Flaw,
    FlawSpot,
    draw_crack,
    draw_pit,
    draw_scratch,
    draw_stain,
)
from pipeline.source.synthetic.steel_surface import render_steel_surface, simulate_inspection_camera

FLAW_CLASSES: tuple[str, ...] = ("scratch", "pit", "stain", "crack")
OBB_CLASSES: tuple[str, ...] = ("scratch", "stain", "crack")
"""Classes for obb: the flaws that can have a direction."""
SHEET_CLASSES: tuple[str, ...] = ("crack", "good", "pit", "scratch", "stain")
"""Classes of whole images, for classify."""

_DRAW_FLAW = (draw_scratch, draw_pit, draw_stain, draw_crack)
# Probability of each class at a place; pits often come in clusters, so most flaws are pits.
_CLASS_CHANCES = (0.4, 0.22, 0.24, 0.14)
_OBB_CLASS_CHANCES = (0.3, 0.0, 0.4, 0.3)
_COUNT_CHANCES = (0.1, 0.3, 0.3, 0.2, 0.1)  # probability of 0, 1, 2, 3, 4 places in an image
_MAX_FLAWS = 5  # most flaws in an image
_MAX_SHARED_AREA = 0.12  # largest fraction of the smaller box that two flaws may share
_MIN_ASPECT = 1.4  # ratio of length to width from which a rectangle has a direction
_TRACE_SCALE = 4  # outlines are traced at this many times the size, so that they follow pixel edges
_MAX_DEVIATION = 0.4  # largest distance of an outline from its mask's edge, in pixels


def draw_steel_image(index: int, *, seed: int, pixels: int) -> DrawnImage:
    """Draw one image; the same arguments give the same image, whatever was drawn before.

    Args:
        index: Number of the image, 0 or more.
        seed: Seed of the dataset.
        pixels: Side of the square image, 64 or more.
    """
    rng = np.random.default_rng([seed, index])
    return _draw_sheet(rng, pixels, chances=_CLASS_CHANCES, polygon=_trace_outline)


def draw_steel_obb_image(index: int, *, seed: int, pixels: int) -> DrawnImage:
    """Draw one image of elongated flaws; the polygons are their smallest rotated rectangles.

    Arguments are those of `draw_steel_image`, classes those of `OBB_CLASSES`. A flaw whose rectangle leaves
    the image, or is nearly square, is not drawn.
    """
    rng = np.random.default_rng([seed, index])
    drawing = _draw_sheet(rng, pixels, chances=_OBB_CLASS_CHANCES, polygon=_fit_rectangle)
    places = [OBB_CLASSES.index(FLAW_CLASSES[cls]) for cls in drawing.classes]
    return drawing._replace(classes=np.asarray(places, np.int64))


def draw_steel_classify_image(index: int, *, seed: int, pixels: int) -> DrawnImage:
    """Draw one image with one or two flaws of one class, or of a good sheet, with one class for the image."""
    rng = np.random.default_rng([seed, index])
    image, finish = render_steel_surface(rng, pixels)
    name = SHEET_CLASSES[int(rng.integers(len(SHEET_CLASSES)))]
    for _ in range(int(rng.integers(1, 3)) if name in FLAW_CLASSES else 0):
        x, y = (float(value) for value in rng.uniform(0.2, 0.8, 2) * pixels)
        image = _DRAW_FLAW[FLAW_CLASSES.index(name)](rng, FlawSpot(x, y, pixels, finish.angle)).apply(image)
    whole = to_float32([[0, 0, pixels, pixels]])
    classes = np.array([SHEET_CLASSES.index(name)], np.int64)
    return DrawnImage(simulate_inspection_camera(rng, image), whole, classes, [])


def _draw_sheet(
    rng: Generator,
    pixels: int,
    *,
    chances: Sequence[float],
    polygon: Callable[[BoolArray], Float32Array | None],
) -> DrawnImage:
    image, finish = render_steel_surface(rng, pixels)
    boxes, classes, polygons = np.zeros((0, 4), np.float32), [], []
    for kind, flaw in _sample_flaws(rng, FlawSpot(0, 0, pixels, finish.angle), chances):
        box = _find_box(flaw.visible)
        ring = None if box is None else polygon(flaw.visible)
        if box is None or ring is None or _overlaps(box, boxes):
            continue
        image = flaw.apply(image)
        boxes = np.vstack([boxes, box])
        classes.append(kind)
        polygons.append(ring)
    return DrawnImage(simulate_inspection_camera(rng, image), boxes, np.asarray(classes, np.int64), polygons)


def _sample_flaws(rng: Generator, sheet: FlawSpot, chances: Sequence[float]) -> list[tuple[int, Flaw]]:
    """Sample the flaws of one image with their classes; stains first, so that they are below."""
    found: list[tuple[int, Flaw]] = []
    pixels = sheet.pixels
    count = int(rng.choice(len(_COUNT_CHANCES), p=_COUNT_CHANCES))
    for kind in rng.choice(len(FLAW_CLASSES), count, p=chances):
        x, y = rng.uniform(0.08, 0.92, 2) * pixels
        cluster = int(rng.integers(2, 5)) if kind == FLAW_CLASSES.index("pit") and rng.random() < 0.5 else 1
        for _ in range(cluster):
            found.append((int(kind), _DRAW_FLAW[kind](rng, sheet._replace(x=float(x), y=float(y)))))
            x, y = np.clip(np.array([x, y]) + rng.normal(0, 0.09 * pixels, 2), 0.04 * pixels, 0.96 * pixels)
    return sorted(found[:_MAX_FLAWS], key=lambda pair: FLAW_CLASSES[pair[0]] != "stain")


def _find_box(visible: BoolArray) -> Float32Array | None:
    """Return the box of a mask; None if too little of it is in the image."""
    rows, columns = np.flatnonzero(visible.any(1)), np.flatnonzero(visible.any(0))
    least = visible.shape[0] / 64
    if len(rows) < least or len(columns) < least:
        return None
    return tight_box(visible)


def _overlaps(box: Float32Array, others: Float32Array) -> bool:
    """Check whether a box overlaps another by too much of the smaller area: two flaws that look like one."""
    shared = np.minimum(box[2:], others[:, 2:]) - np.maximum(box[:2], others[:, :2])
    overlap = np.clip(shared, 0, None).prod(1)
    areas = (others[:, 2:] - others[:, :2]).prod(1)
    return bool((overlap > _MAX_SHARED_AREA * np.minimum((box[2:] - box[:2]).prod(), areas)).any())


def _trace_outline(visible: BoolArray) -> Float32Array:
    """Return the outline (k, 2) along the pixel edges of a mask; separate pieces are joined."""
    fine = np.repeat(np.repeat(_join_pieces(visible), _TRACE_SCALE, axis=0), _TRACE_SCALE, axis=1)
    (ring,), _ = cv2.findContours(fine, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    smooth = cv2.approxPolyDP(ring, _MAX_DEVIATION * _TRACE_SCALE, True)
    return (to_float32(smooth).reshape(-1, 2) + np.float32(0.5)) / np.float32(_TRACE_SCALE)


def _join_pieces(visible: BoolArray) -> NDArray[np.uint8]:
    """Join the pieces of a flaw that is faint in places, by lines across the narrowest gaps."""
    whole = visible.astype(np.uint8)
    while (pieces := cv2.connectedComponents(whole, connectivity=8))[0] > 2:
        first, others = np.argwhere(pieces[1] == 1), np.argwhere(pieces[1] > 1)
        there = others[_measure_gaps(others, pieces[1] != 1).argmin()]
        here = first[((first - there) ** 2).sum(1).argmin()]
        cv2.line(whole, here[::-1].tolist(), there[::-1].tolist(), 1)
    return whole


def _measure_gaps(places: NDArray[np.int64], outside: BoolArray) -> NDArray[np.float32]:
    """Return the distance of each place (n, 2) from the nearest pixel that is not outside."""
    far = cv2.distanceTransform(outside.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return np.asarray(far[places[:, 0], places[:, 1]], np.float32)


def _fit_rectangle(visible: BoolArray) -> Float32Array | None:
    """Return the corners (4, 2) of the smallest rotated rectangle; None if nearly square or not inside."""
    found = cv2.minAreaRect(_trace_outline(visible))
    corners = to_float32(cv2.boxPoints(found))
    long = max(found[1]) >= _MIN_ASPECT * min(found[1])
    return corners if long and corners.min() >= 0 and corners.max() <= len(visible) else None
