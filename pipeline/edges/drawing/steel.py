"""The embedded demo: photographs of a steel surface under inspection, drawn, with exact labels."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from pipeline.edges.drawing import steel_flaws as flaws
from pipeline.edges.drawing import steel_surface as surface
from pipeline.edges.drawing.drawing import Drawing, Floats
from pipeline.edges.drawing.steel_flaws import Flaw, Spot

CLASSES: tuple[str, ...] = ("scratch", "pit", "stain", "crack")

_DRAW = (flaws.scratch, flaws.pit, flaws.stain, flaws.crack)
_SHARES = (0.4, 0.22, 0.24, 0.14)  # of the places; a pit often comes with others, so pits are the most
_COUNTS = (0.1, 0.3, 0.3, 0.2, 0.1)  # chance of 0, 1, 2, 3, 4 places in a picture
_MOST = 5  # flaws in a picture
_APART = 0.12  # least part of a flaw's box that may be shared with another


def draw(index: int, *, seed: int, pixels: int) -> Drawing:
    """Draw one picture; the same arguments give the same picture, whatever was drawn before.

    Args:
        index: Which picture, 0 or more.
        seed: Which series of pictures.
        pixels: Side of the square picture, 64 or more.
    """
    rng = np.random.default_rng([seed, index])
    image, look = surface.sheet(rng, pixels)
    boxes, classes, polygons = np.zeros((0, 4), np.float32), [], []
    for kind, flaw in _flaws(rng, pixels, look.angle):
        box = _box(flaw.visible)
        if box is None or _crowded(box, boxes):
            continue
        image = flaw.apply(image)
        boxes = np.vstack([boxes, box])
        classes.append(kind)
        polygons.append(_outline(flaw.visible))
    return Drawing(surface.photograph(rng, image), boxes, np.asarray(classes, np.int64), polygons)


def _flaws(rng: Generator, pixels: int, angle: float) -> list[tuple[int, Flaw]]:
    """Return the flaws of one picture with their classes; large soft ones first, hence underneath."""
    found: list[tuple[int, Flaw]] = []
    for kind in rng.choice(len(CLASSES), int(rng.choice(len(_COUNTS), p=_COUNTS)), p=_SHARES):
        x, y = rng.uniform(0.08, 0.92, 2) * pixels
        cluster = int(rng.integers(2, 5)) if kind == CLASSES.index("pit") and rng.random() < 0.5 else 1
        for _ in range(cluster):
            found.append((int(kind), _DRAW[kind](rng, Spot(float(x), float(y), pixels, angle))))
            x, y = np.clip(np.array([x, y]) + rng.normal(0, 0.09 * pixels, 2), 0.04 * pixels, 0.96 * pixels)
    return sorted(found[:_MOST], key=lambda pair: CLASSES[pair[0]] != "stain")


def _box(visible: NDArray[np.bool_]) -> Floats | None:
    """Return the tight box of a mask, or nothing where too little is in the picture."""
    rows, columns = np.flatnonzero(visible.any(1)), np.flatnonzero(visible.any(0))
    least = visible.shape[0] / 64
    if len(rows) < least or len(columns) < least:
        return None
    return np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1], np.float32)


def _crowded(box: Floats, others: Floats) -> bool:
    """Say whether a box shares more than a little of the smaller area with another: two flaws in one."""
    shared = np.minimum(box[2:], others[:, 2:]) - np.maximum(box[:2], others[:, :2])
    overlap = np.clip(shared, 0, None).prod(1)
    areas = (others[:, 2:] - others[:, :2]).prod(1)
    return bool((overlap > _APART * np.minimum((box[2:] - box[:2]).prod(), areas)).any())


def _outline(visible: NDArray[np.bool_]) -> Floats:
    """Return the outline of the largest piece, through the centres of its border pixels."""
    whole = cv2.morphologyEx(visible.astype(np.uint8), cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8))
    pieces, _ = cv2.findContours(whole, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_TC89_L1)
    largest = max(pieces, key=len)
    return np.asarray(largest, np.float32).reshape(-1, 2) + np.float32(0.5)
