"""The embedded demo: photographs of a steel surface under inspection, drawn, with exact labels."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from pipeline.core.arrays import BoolArray, Float32Array
from pipeline.source.synthetic import steel_flaws as flaws
from pipeline.source.synthetic import steel_surface as surface
from pipeline.source.synthetic.picture import DrawnImage, floats
from pipeline.source.synthetic.steel_flaws import Flaw, FlawSpot

CLASSES: tuple[str, ...] = ("scratch", "pit", "stain", "crack")
LONG: tuple[str, ...] = ("scratch", "stain", "crack")
"""The flaws that can have a direction."""
SORTED: tuple[str, ...] = ("crack", "good", "pit", "scratch", "stain")
"""What a whole sheet is sorted by."""

_DRAW = (flaws.scratch, flaws.pit, flaws.stain, flaws.crack)
_SHARES = (0.4, 0.22, 0.24, 0.14)  # of the places; a pit often comes with others, so pits are the most
_LONG_SHARES = (0.3, 0.0, 0.4, 0.3)
_COUNTS = (0.1, 0.3, 0.3, 0.2, 0.1)  # chance of 0, 1, 2, 3, 4 places in a picture
_MOST = 5  # flaws in a picture
_APART = 0.12  # least part of a flaw's box that may be shared with another
_LONG = 1.4  # times as long as wide: a rectangle that has a direction
_FINE = 4  # outlines are followed this many times finer, so that they run along the edges of pixels
_SMOOTH = 0.4  # pixels by which an outline may leave its mask's edge


def draw(index: int, *, seed: int, pixels: int) -> DrawnImage:
    """Draw one picture; the same arguments give the same picture, whatever was drawn before.

    Args:
        index: Which picture, 0 or more.
        seed: Which series of pictures.
        pixels: Side of the square picture, 64 or more.
    """
    return _picture(np.random.default_rng([seed, index]), pixels, shares=_SHARES, polygon=_outline)


def draw_long(index: int, *, seed: int, pixels: int) -> DrawnImage:
    """Draw one picture of long flaws, as `draw` does; the polygons are their smallest rotated rectangles.

    Classes are those of `LONG`. A flaw whose rectangle leaves the picture, or is nearly square, is not drawn.
    """
    rng = np.random.default_rng([seed, index])
    drawing = _picture(rng, pixels, shares=_LONG_SHARES, polygon=_rectangle)
    places = [LONG.index(CLASSES[cls]) for cls in drawing.classes]
    return drawing._replace(classes=np.asarray(places, np.int64))


def draw_sorted(index: int, *, seed: int, pixels: int) -> DrawnImage:
    """Draw one picture with one or two flaws of one kind, or of a good sheet; the class is the picture's."""
    rng = np.random.default_rng([seed, index])
    image, look = surface.sheet(rng, pixels)
    name = SORTED[int(rng.integers(len(SORTED)))]
    for _ in range(int(rng.integers(1, 3)) if name in CLASSES else 0):
        x, y = (float(value) for value in rng.uniform(0.2, 0.8, 2) * pixels)
        image = _DRAW[CLASSES.index(name)](rng, FlawSpot(x, y, pixels, look.angle)).apply(image)
    whole = floats([[0, 0, pixels, pixels]])
    return DrawnImage(surface.photograph(rng, image), whole, np.array([SORTED.index(name)], np.int64), [])


def _picture(
    rng: Generator,
    pixels: int,
    *,
    shares: Sequence[float],
    polygon: Callable[[BoolArray], Float32Array | None],
) -> DrawnImage:
    image, look = surface.sheet(rng, pixels)
    boxes, classes, polygons = np.zeros((0, 4), np.float32), [], []
    for kind, flaw in _flaws(rng, FlawSpot(0, 0, pixels, look.angle), shares):
        box = _box(flaw.visible)
        ring = None if box is None else polygon(flaw.visible)
        if box is None or ring is None or _crowded(box, boxes):
            continue
        image = flaw.apply(image)
        boxes = np.vstack([boxes, box])
        classes.append(kind)
        polygons.append(ring)
    return DrawnImage(surface.photograph(rng, image), boxes, np.asarray(classes, np.int64), polygons)


def _flaws(rng: Generator, sheet: FlawSpot, shares: Sequence[float]) -> list[tuple[int, Flaw]]:
    """Return the flaws of one picture with their classes; large soft ones first, hence underneath."""
    found: list[tuple[int, Flaw]] = []
    pixels = sheet.pixels
    for kind in rng.choice(len(CLASSES), int(rng.choice(len(_COUNTS), p=_COUNTS)), p=shares):
        x, y = rng.uniform(0.08, 0.92, 2) * pixels
        cluster = int(rng.integers(2, 5)) if kind == CLASSES.index("pit") and rng.random() < 0.5 else 1
        for _ in range(cluster):
            found.append((int(kind), _DRAW[kind](rng, sheet._replace(x=float(x), y=float(y)))))
            x, y = np.clip(np.array([x, y]) + rng.normal(0, 0.09 * pixels, 2), 0.04 * pixels, 0.96 * pixels)
    return sorted(found[:_MOST], key=lambda pair: CLASSES[pair[0]] != "stain")


def _box(visible: BoolArray) -> Float32Array | None:
    """Return the tight box of a mask, or nothing where too little is in the picture."""
    rows, columns = np.flatnonzero(visible.any(1)), np.flatnonzero(visible.any(0))
    least = visible.shape[0] / 64
    if len(rows) < least or len(columns) < least:
        return None
    return np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1], np.float32)


def _crowded(box: Float32Array, others: Float32Array) -> bool:
    """Say whether a box shares more than a little of the smaller area with another: two flaws in one."""
    shared = np.minimum(box[2:], others[:, 2:]) - np.maximum(box[:2], others[:, :2])
    overlap = np.clip(shared, 0, None).prod(1)
    areas = (others[:, 2:] - others[:, :2]).prod(1)
    return bool((overlap > _APART * np.minimum((box[2:] - box[:2]).prod(), areas)).any())


def _outline(visible: BoolArray) -> Float32Array:
    """Return the outline (k, 2) along the edges of the mask's pixels; its pieces are joined to one."""
    fine = np.repeat(np.repeat(_joined(visible), _FINE, axis=0), _FINE, axis=1)
    (ring,), _ = cv2.findContours(fine, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    smooth = cv2.approxPolyDP(ring, _SMOOTH * _FINE, True)
    return (floats(smooth).reshape(-1, 2) + np.float32(0.5)) / np.float32(_FINE)


def _joined(visible: BoolArray) -> NDArray[np.uint8]:
    """Bridge the gaps of a flaw that is too faint in places, where they are narrowest."""
    whole = visible.astype(np.uint8)
    while (pieces := cv2.connectedComponents(whole, connectivity=8))[0] > 2:
        first, others = np.argwhere(pieces[1] == 1), np.argwhere(pieces[1] > 1)
        there = others[_gaps(others, pieces[1] != 1).argmin()]
        here = first[((first - there) ** 2).sum(1).argmin()]
        cv2.line(whole, here[::-1].tolist(), there[::-1].tolist(), 1)
    return whole


def _gaps(places: NDArray[np.int64], outside: BoolArray) -> NDArray[np.float32]:
    """Return how far each place (n, 2) is from what is not outside."""
    far = cv2.distanceTransform(outside.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return np.asarray(far[places[:, 0], places[:, 1]], np.float32)


def _rectangle(visible: BoolArray) -> Float32Array | None:
    """Return the corners of the smallest rotated rectangle; nothing if it is nearly square, or leaves."""
    found = cv2.minAreaRect(_outline(visible))
    corners = floats(cv2.boxPoints(found))
    long = max(found[1]) >= _LONG * min(found[1])
    return corners if long and corners.min() >= 0 and corners.max() <= len(visible) else None
