"""Check one image's boxes, as some annotation tool left them, and mend what has one clear answer."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

Boxes = NDArray[np.float64]
Indices = NDArray[np.int64]

ROUNDING: Final = 0.5
"""Pixels: what lies outside by less is how a format rounds, no mistake; and a side below this is no box."""


class Note(NamedTuple):
    """One finding: the object is left out (`dropped`), or used in a mended form."""

    dropped: bool
    reason: str


class Raw(NamedTuple):
    """The objects of one image as they were read.

    Attributes:
        classes: (n,) class indices.
        boxes: (n, 4) x1 y1 x2 y2.
        marks: What each is called in a report, such as `line 3`.
        outlines: For each object the parts of its outline, (k, 2) x and y each, in the unit of the boxes; no
            part where it has none. Empty where no object has any.
        keypoints: For each object (points, 3) x, y in the unit of the boxes, and visibility (0, 1, 2). Empty
            where no object has any.
    """

    classes: Indices
    boxes: Boxes
    marks: tuple[str, ...]
    outlines: tuple[tuple[Boxes, ...], ...] = ()
    keypoints: tuple[Boxes, ...] = ()


class Checked(NamedTuple):
    """The objects that can be used, and what was found.

    Attributes:
        classes: (m,) class indices.
        boxes: (m, 4) x1 y1 x2 y2 in pixels, within the image, each side half a pixel or more.
        notes: A finding each.
        outlines: m outlines (k, 2) in pixels (segment), or four corners each (obb); none for other tasks.
        keypoints: m arrays (points, 3) in pixels (pose); none for other tasks.
    """

    classes: Indices
    boxes: Boxes
    notes: tuple[Note, ...]
    outlines: tuple[Boxes, ...] = ()
    keypoints: tuple[Boxes, ...] = ()


def check(raw: Raw, *, size: tuple[int, int], known: int) -> Checked:
    """Keep the boxes that an image of this size and a list of this many classes can have.

    Corners in the wrong order are exchanged, what lies partly outside is clipped; both are named. Left out
    are boxes with coordinates that are no numbers, of no area, outside, of an unknown class, or given twice.

    Args:
        raw: The objects, their boxes in pixels.
        size: Width and height of the image in pixels.
        known: Number of classes.
    """
    notes: list[Note] = []
    kept: list[tuple[int, Boxes]] = []
    seen: dict[tuple[float, ...], int] = {}
    objects = zip(raw.marks, raw.classes.tolist(), raw.boxes, strict=True)
    for number, (mark, cls, box) in enumerate(objects):
        fault = _fault(cls, box, size=size, known=known)
        inside = _clipped(_upright(box), size)
        if not fault and (first := seen.setdefault((cls, *inside.round(3).tolist()), number)) != number:
            fault = f"the same as {raw.marks[first]}"
        if fault:
            notes.append(Note(True, f"{mark}: {fault}"))
            continue
        kept.append((cls, inside))
        notes += [Note(False, f"{mark}: {mended}") for mended in _mended(box, size)]
    classes = np.array([cls for cls, _ in kept], np.int64)
    return Checked(classes, np.array([box for _, box in kept], np.float64).reshape(-1, 4), tuple(notes))


def _upright(box: Boxes) -> Boxes:
    return np.concatenate([np.minimum(box[:2], box[2:]), np.maximum(box[:2], box[2:])])


def _clipped(box: Boxes, size: tuple[int, int]) -> Boxes:
    return np.clip(box, 0, [*size, *size])


def _fault(cls: int, box: Boxes, *, size: tuple[int, int], known: int) -> str:
    """Say why a box cannot be used, or nothing."""
    if not np.isfinite(box).all():
        return f"coordinates that are no numbers: {_text(box)}"
    if not 0 <= cls < known:
        return f"class {cls}, but the classes are 0 to {known - 1}"
    width, height = (float(side) for side in np.abs(box[2:] - box[:2]))
    if min(width, height) < ROUNDING:
        return f"no area: {width:.6g} x {height:.6g} pixels at {_text(box)}"
    inside = _clipped(_upright(box), size)
    if (inside[2:] - inside[:2]).min() < ROUNDING:
        return f"outside the image of {size[0]} x {size[1]} pixels: {_text(box)}"
    return ""


def _mended(box: Boxes, size: tuple[int, int]) -> list[str]:
    """Say what is changed about a box that is used."""
    upright = _upright(box)
    mended = [f"corners in the wrong order: {_text(box)}"] if (upright != box).any() else []
    if np.abs(upright - _clipped(upright, size)).max() > ROUNDING:
        mended.append(f"clipped to the image of {size[0]} x {size[1]} pixels: {_text(upright)}")
    return mended


def _text(box: Boxes) -> str:
    return " ".join(f"{value:.6g}" for value in box)
