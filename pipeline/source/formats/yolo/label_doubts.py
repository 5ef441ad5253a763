"""Refuse YOLO labels that are probably not what YOLO means: pixels, corners, classes counted from 1.

When more than a fifth of the objects would be repaired or dropped for one reason, the labels are probably
read wrongly. Then the user says what they are: data.labels and data.first_class.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, NoReturn

import numpy as np

from pipeline.core.arrays import BoolArray, FloatArray, IntArray
from pipeline.core.errors import UserError
from pipeline.core.text import format_count
from pipeline.source.formats.yolo.label_lines import BOX_VALUES, LabelLayout, LabelLines
from pipeline.source.plausibility.box_meaning import PERCENT
from pipeline.source.plausibility.column_order import are_ordered_corners
from pipeline.source.plausibility.predictions import PREDICTIONS_ADVICE, are_certain
from pipeline.source.types import ReadOptions

_MAX_SHARE: Final = 0.2
"""Share of the objects from which on a repair is no repair, but another format."""
_NEARLY_ALL: Final = 0.95
_MIN_ORDERED: Final = 10
"""So many boxes that are all ordered corners are no centers and sizes, if some reach out of their image."""
_MIN_OUTSIDE: Final = 0.1
_MIN_OBJECTS: Final = 3
"""Fewer objects are no pattern."""
_MAX_ROUNDING: Final = 0.01
"""Share of the image by which a box may reach out of it."""
_MAX_OVERHANG: Final = 0.1
"""Share of its own size by which a box may: a misread one reaches out by more."""
_MIN_PIXELS: Final = 2
"""A larger coordinate is no share of the image, even of an object that is partly outside."""
_MAX_LEVELS: Final = 10
"""So many different values between 0 and 1 may be levels of something; more of them are confidences."""
_KEEP: Final = "if they are right as they are, set data.labels=shares"

DescribeLine = Callable[[int], str]
"""Describes the object with an index in the table: its file, its line and its text."""


class LabelTable(NamedTuple):
    """The beginning of all objects of a dataset, one row each.

    Attributes:
        classes: (n,) class numbers.
        heads: (n, 4) the first four coordinates.
        scores: (n,) the value that follows a box or an outline, as a model's confidence does; else NaN.
        is_box: (n,) the first four coordinates are a box.
        files: (n,) index of the label file.
        malformed: Number of lines that are no labels.
        first_malformed: The finding about the first of them.
    """

    classes: IntArray
    heads: FloatArray
    scores: FloatArray
    is_box: BoolArray
    files: IntArray
    malformed: int
    first_malformed: str


def build_label_table(files: Sequence[LabelLines], layout: LabelLayout) -> LabelTable:
    """Collect the class and the first coordinates of all objects."""
    lengths = np.array([length for file in files for length in file.lengths], np.int64)
    values = np.concatenate([np.zeros(0), *(file.values for file in files)])
    starts = np.cumsum(lengths) - lengths
    kept = lengths >= BOX_VALUES
    first = starts[kept]
    has_score = (lengths[kept] > BOX_VALUES) & (lengths[kept] % 2 == 0) & (layout.keypoints is None)
    last = first + lengths[kept] - 1
    extra = BOX_VALUES + layout.extra_values
    is_box = np.isin(lengths[kept], (BOX_VALUES, extra)) | (layout.keypoints is not None)
    notes = [note.reason for file in files for note in file.notes]
    counts = [len(file.lengths) for file in files]
    return LabelTable(
        values[first].astype(np.int64),
        values[first[:, None] + np.arange(1, BOX_VALUES)],
        np.where(has_score, values[last], np.nan),
        is_box,
        np.repeat(np.arange(len(files)), counts)[kept],
        len(notes),
        next(iter(notes), ""),
    )


def check_coordinates(table: LabelTable, options: ReadOptions, describe: DescribeLine) -> None:
    """Refuse labels whose coordinates are not what data.labels says; auto: shares of the image.

    Args:
        table: All objects.
        options: `labels` and `predictions`.
        describe: Describes an object by its index.

    Raises:
        UserError: They are not.
    """
    if not len(table.classes):
        return
    _check_confidences(table, options, describe)
    if options.labels == "shares":
        return
    lines = len(table.classes) + table.malformed
    if table.malformed >= _MIN_OBJECTS and table.malformed > _MAX_SHARE * lines:
        raise UserError(
            f"{table.malformed:,} of {format_count(lines, 'line')} are no YOLO labels, such as "
            f"{table.first_malformed}: expected a class number and coordinates; {_KEEP}"
        )
    if options.labels == "auto":
        _check_shares(table, describe)
    else:
        _check_stated_form(table, options.labels, describe)


def have_confidences(table: LabelTable) -> bool:
    """Check for many boxes or outlines with a number between 0 and 1 that differs from object to object."""
    scores = table.scores[~np.isnan(table.scores)]
    if len(scores) < _MIN_OBJECTS or len(scores) <= _MAX_SHARE * len(table.classes):
        return False
    return _vary_as_confidences(scores)


def describe_few_confidences(table: LabelTable) -> tuple[str, ...]:
    """Tell of single lines with a further number, as a model writes them: they are left out."""
    scores = table.scores[~np.isnan(table.scores)]
    if have_confidences(table) or not _vary_as_confidences(scores) or are_certain(scores.tolist()):
        return ()
    images = len(np.unique(table.files[~np.isnan(table.scores)]))
    return (
        f"{len(scores):,} of {format_count(len(table.classes), 'object')}, in "
        f"{format_count(images, 'image')}, end with a further number between 0 and 1, as the predictions of "
        f"a model do: left out ({PREDICTIONS_ADVICE})",
    )


def _vary_as_confidences(scores: FloatArray) -> bool:
    levels = min(len(scores) / 2, _MAX_LEVELS)
    return bool(((scores >= 0) & (scores <= 1)).all()) and len(np.unique(scores)) > levels


def check_class_numbers(
    table: LabelTable, numbers: Sequence[int], options: ReadOptions, describe: DescribeLine
) -> None:
    """Refuse class numbers without a name, if they are many, or if they are counted from 1.

    Args:
        table: All objects.
        numbers: The class numbers that have a name.
        options: `first_class`: auto checks.
        describe: Describes an object by its index.

    Raises:
        UserError: There are such numbers.
    """
    if options.first_class != "auto" or not len(numbers) or not len(table.classes):
        return
    unknown = ~np.isin(table.classes, numbers)
    count, named = int(unknown.sum()), format_count(len(numbers), "class has a name", "classes have a name")
    highest, lowest = int(table.classes.max()), int(table.classes.min())
    if count and lowest == 1 and highest == len(numbers) == max(numbers) + 1:
        raise UserError(
            f"the class numbers are 1 to {highest}, {named}, and no object has class 0, such as "
            f"{describe(int(np.argmax(unknown)))}: if they are counted from 1, set data.first_class=1; "
            "if not, set data.first_class=0"
        )
    if count >= _MIN_OBJECTS and count > _MAX_SHARE * len(unknown):
        raise UserError(
            f"{_format_share(unknown)} have a class number without a name ({named}, "
            f"{_format_range(numbers)}), such as {describe(int(np.argmax(unknown)))}: add the names, or set "
            "data.first_class=0 to leave these objects out"
        )


def _check_shares(table: LabelTable, describe: DescribeLine) -> None:
    heads = table.heads
    large = _any_in_row(np.abs(heads) > _MIN_PIXELS)
    if large.mean() > _MAX_SHARE:
        _refuse_pixels(table, large, describe)
    boxes, indices = heads[table.is_box], np.flatnonzero(table.is_box)
    if not len(boxes):
        return
    flat = _any_in_row(boxes[:, 2:] <= 0)
    outside = _reach_outside(boxes)
    if len(boxes) >= _MIN_ORDERED and outside.mean() > _MIN_OUTSIDE and are_ordered_corners(boxes).all():
        example = describe(int(indices[np.argmax(outside)]))
        _refuse_boxes(boxes, f"{_format_share(outside)} reach out of their image, such as {example}")
    for found, fault in ((outside, "reach out of their image"), (flat, "have no width or no height")):
        if found.sum() >= _MIN_OBJECTS and found.mean() > _MAX_SHARE:
            example = describe(int(indices[np.argmax(found)]))
            _refuse_boxes(boxes, f"{_format_share(found)} {fault}, such as {example}")


def _refuse_pixels(table: LabelTable, large: BoolArray, describe: DescribeLine) -> NoReturn:
    boxes = table.heads[table.is_box]
    are_corners = len(boxes) > 0 and float(np.mean(are_ordered_corners(boxes))) >= _NEARLY_ALL
    likely, other = ("pixel_corners", "pixels") if are_corners else ("pixels", "pixel_corners")
    may_be_percent = bool((np.abs(table.heads) <= PERCENT).all()) and _fit_image(boxes / PERCENT)
    meaning = {"pixels": "x y width height of the center", "pixel_corners": "x1 y1 x2 y2"}
    percent = " or data.labels=percent (of the image size)" if may_be_percent else ""
    raise UserError(
        f"{_format_share(large)} have coordinates far above 1, such as {describe(int(np.argmax(large)))}: "
        f"they look like pixels{' or percent' if percent else ''}, not like shares of the image: set "
        f"data.labels={likely} ({meaning[likely]}) or data.labels={other} ({meaning[other]})"
        f"{percent}; {_KEEP}"
    )


def _fit_image(boxes: FloatArray) -> bool:
    """Check whether nearly all boxes, read as center and size in shares, lie in their image."""
    return not len(boxes) or float(np.mean(~_reach_outside(boxes))) >= _NEARLY_ALL


def _reach_outside(boxes: FloatArray) -> BoolArray:
    """Find boxes, given by center and size in shares, that reach out of their image by more than rounding."""
    slack = np.maximum(_MAX_ROUNDING, _MAX_OVERHANG * boxes[:, 2:])
    outside = _any_in_row(boxes[:, :2] - boxes[:, 2:] / 2 < -slack)
    return np.asarray(outside | _any_in_row(boxes[:, :2] + boxes[:, 2:] / 2 > 1 + slack), np.bool_)


def _refuse_boxes(boxes: FloatArray, fault: str) -> NoReturn:
    """Say what boxes look like that do not fit: two corners, or the left top corner and a size."""
    if float(np.mean(are_ordered_corners(boxes))) >= _NEARLY_ALL:
        raise UserError(
            f"{fault}: they look like two corners, x1 y1 x2 y2, not like center and size: "
            f"set data.labels=corners; {_KEEP}"
        )
    fits = (boxes >= 0).all(axis=1) & (boxes[:, :2] + boxes[:, 2:] <= 1 + _MAX_ROUNDING).all(axis=1)
    if float(np.mean(fits)) >= _NEARLY_ALL:
        raise UserError(
            f"{fault}: they look like the left top corner and the size, not like the center and the size: "
            f"add half of width and height to x and y; {_KEEP}"
        )
    raise UserError(f"{fault}: look at the labels of this image; {_KEEP}")


def _check_confidences(table: LabelTable, options: ReadOptions, describe: DescribeLine) -> None:
    """Refuse predictions, unless data.predictions says that they are labels."""
    if options.predictions == "labels" or not have_confidences(table):
        return
    scored = ~np.isnan(table.scores)
    index = int(np.argmax(scored))
    raise UserError(
        f"{_format_share(scored)} end with a further number between 0 and 1, such as {describe(index)} ... "
        f"{table.scores[index]:.6g}: these look like the predictions of a model, not like labels: if they "
        "are labels, set data.predictions=labels"
    )


def _check_stated_form(table: LabelTable, labels: str, describe: DescribeLine) -> None:
    """Refuse labels that contradict what data.labels says."""
    boxes = table.heads[table.is_box]
    if labels != "corners" and (np.abs(table.heads) <= 1).all():
        raise UserError(
            f"data.labels={labels}, but no coordinate is above 1, such as {describe(0)}: these are shares"
        )
    if labels == "corners" and (np.abs(table.heads) > _MIN_PIXELS).any(axis=1).mean() > _MAX_SHARE:
        raise UserError(
            f"data.labels=corners, but coordinates are far above 1, such as {describe(0)}: these are pixels, "
            "set data.labels=pixel_corners"
        )
    outside = _reach_outside(boxes / PERCENT)
    if labels == "percent" and len(boxes) and outside.mean() > _MAX_SHARE:
        example = describe(int(np.flatnonzero(table.is_box)[np.argmax(outside)]))
        raise UserError(
            f"data.labels=percent, but {_format_share(outside)} reach out of their image, such as {example}: "
            "these are no percentages of a center and a size"
        )
    wrong = ~are_ordered_corners(boxes)
    if labels.endswith("corners") and len(boxes) and wrong.mean() > _MAX_SHARE:
        example = describe(int(np.flatnonzero(table.is_box)[np.argmax(wrong)]))
        raise UserError(
            f"data.labels={labels}, but in {_format_share(wrong)} the second corner is not right of and "
            f"below the first, such as {example}: these are no corners"
        )


def _any_in_row(found: BoolArray) -> BoolArray:
    return np.asarray(found.any(axis=1), np.bool_)


def _format_share(found: BoolArray) -> str:
    return f"{int(found.sum()):,} of {format_count(len(found), 'object')}"


def _format_range(numbers: Sequence[int]) -> str:
    lowest, highest = min(numbers), max(numbers)
    return f"{lowest} to {highest}" if highest > lowest else f"{lowest}"
