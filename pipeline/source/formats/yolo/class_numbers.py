"""Replace the class numbers of label files by indices of class names."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

import numpy as np

from pipeline.core.annotations import RawObjects
from pipeline.core.arrays import BoolArray
from pipeline.core.findings import AnnotationNote
from pipeline.source.formats.yolo.class_names import ClassNames
from pipeline.source.types import ReadOptions

_MAX_UNNAMED_CLASSES: Final = 2000
"""A higher class number without a name is a typing error."""


def number_unnamed_classes(used: Collection[int], stated: int, options: ReadOptions) -> ClassNames:
    """Name classes by their numbers.

    Args:
        used: The class numbers in label files.
        stated: How many classes data.yaml states; 0 if it states none.
        options: `first_class`: the lowest number.
    """
    first = int(str(options.first_class) == "1")
    count = stated or min(max(used, default=-1) + 1 - first, _MAX_UNNAMED_CLASSES)
    numbers = tuple(range(first, first + max(count, 0)))
    names = tuple(f"class_{number}" for number in numbers)
    if stated:
        return ClassNames(names, numbers)
    hint = ""
    if 0 not in used and used and not first and options.first_class == "auto":
        hint = "; no object has class 0: if classes are counted from 1, set data.first_class=1"
    called = f"they are called {names[0]} to {names[-1]}" if len(names) > 1 else f"it is called class_{first}"
    told = f"the source names no {'classes' if len(names) > 1 else 'class'}: {called}"
    return ClassNames(names, numbers, (f"{told}{hint}",))


def renumber_classes(raw: RawObjects, classes: ClassNames) -> tuple[RawObjects, list[AnnotationNote]]:
    """Replace class numbers by indices of names; numbers that start at 0 and have no gaps stay as they are.

    Returns:
        The objects, and notes on those whose number has no name: they are left out.
    """
    numbers = np.array(classes.numbers, np.int64)
    if not len(numbers) or not len(raw.classes) or numbers[-1] == len(numbers) - 1:
        return raw, []  # the check of the objects reports other numbers
    indices = np.minimum(np.searchsorted(numbers, raw.classes), len(numbers) - 1)
    known = numbers[indices] == raw.classes
    is_one = len(numbers) == 1
    listed = f"the only class is {numbers[0]}" if is_one else f"the classes are {numbers[0]} to {numbers[-1]}"
    notes = [
        AnnotationNote(True, f"{mark}: class {number}, but {listed}", "class-out-of-range")
        for mark, number, is_known in zip(raw.marks, raw.classes.tolist(), known.tolist(), strict=True)
        if not is_known
    ]
    kept = raw._replace(classes=indices.astype(np.int64))
    return (_keep_objects(kept, known) if notes else kept), notes


def _keep_objects(raw: RawObjects, kept: BoolArray) -> RawObjects:
    chosen = np.flatnonzero(kept).tolist()
    return RawObjects(
        raw.classes[kept],
        raw.boxes[kept],
        tuple(raw.marks[index] for index in chosen),
        tuple(raw.outlines[index] for index in chosen) if raw.outlines else (),
        tuple(raw.keypoints[index] for index in chosen) if raw.keypoints else (),
    )
