"""Notice files that describe the same objects twice: two annotators, or two exports of one project."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import combinations
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from pipeline.core.arrays import BoolArray, FloatArray
from pipeline.core.errors import UserError
from pipeline.core.text import format_count

_MIN_OVERLAP: Final = 0.5
"""Intersection over union of boxes of one class that are of one object."""
_MIN_PAIRS: Final = 3
_MIN_SHARE: Final = 0.5
_MAX_OBJECTS: Final = 1000
"""Objects of one image that are compared."""


class LabeledBoxes(NamedTuple):
    """The boxes of one image in one file: classes (n,), and x1 y1 x2 y2 (n, 4)."""

    labels: tuple[str, ...]
    boxes: FloatArray


def refuse_rival_files(images: Iterable[Mapping[Path, LabeledBoxes]]) -> None:
    """Refuse files that have most of their objects in common, though not with equal boxes.

    Files with equal boxes are copies, whose objects count once.

    Args:
        images: For each image that several files describe, the boxes in each file.

    Raises:
        UserError: There are such files.
    """
    pairs: Counter[tuple[Path, Path]] = Counter()
    totals: Counter[tuple[Path, Path]] = Counter()
    for found in images:
        for first, second in combinations(sorted(found), 2):
            pairs[first, second] += _count_pairs(found[first], found[second])
            totals[first, second] += min(len(found[first].labels), len(found[second].labels))
    for (first, second), number in pairs.items():
        total = totals[first, second]
        if number >= _MIN_PAIRS and number > _MIN_SHARE * total:
            raise UserError(
                f"{first} and {second} describe the same objects: {number} of "
                f"{format_count(total, 'object')} in the images of both have nearly the same box in each of "
                "them; keep one of them in data.source"
            )


def _count_pairs(first: LabeledBoxes, second: LabeledBoxes) -> int:
    """Count the objects of the first file with one of the same class nearly at its place, not exactly."""
    if not first.labels or not second.labels or max(len(first.labels), len(second.labels)) > _MAX_OBJECTS:
        return 0
    same = np.array(first.labels)[:, None] == np.array(second.labels)[None, :]
    overlaps = _measure_overlaps(first.boxes, second.boxes) >= _MIN_OVERLAP
    equal = (np.abs(first.boxes[:, None] - second.boxes[None]) < 1e-6).all(axis=2)
    near: BoolArray = same & overlaps
    return int(min((near.any(axis=1) & ~(same & equal).any(axis=1)).sum(), near.any(axis=0).sum()))


def _measure_overlaps(first: FloatArray, second: FloatArray) -> FloatArray:
    """Return the intersection over union of each pair of boxes."""
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum(first[:, None, 2:], second[None, :, 2:])
    common = np.clip(high - low, 0, None).prod(axis=2)
    areas = [np.clip(boxes[:, 2:] - boxes[:, :2], 0, None).prod(axis=1) for boxes in (first, second)]
    return np.asarray(common / np.maximum(areas[0][:, None] + areas[1][None] - common, 1e-12))
