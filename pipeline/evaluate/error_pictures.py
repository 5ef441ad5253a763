"""Pictures of the errors in one image: truth beside predictions, each error type in its color."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from PIL import Image, ImageDraw

from pipeline.core.arrays import FloatArray, ImageArray
from pipeline.core.detections import Detections, GroundTruth
from pipeline.evaluate.metrics.error_types import (
    CORRECT,
    FALSE_POSITIVE,
    LOCALIZATION_ERROR,
    MISSED,
    WRONG_CLASS,
    ImageErrors,
)
from pipeline.visualize.fonts import load_picture_font, replace_missing_letters, shorten_names

IMAGE_SIDE: Final = 560
"""The longer side of an image, in pixels."""
MARGIN: Final = 20
MIN_SHEET_WIDTH: Final = 640
"""Leaves room for title and legend beside a tall image."""
BAR_LENGTH: Final = 360
"""Pixels of a bar that stands for probability 1."""
BAR_SPACING: Final = 46

MAX_LABELED_BOXES: Final = 15
"""With more boxes than this on a side, only the errors have a label."""
MIN_POINT_CONFIDENCE: Final = 0.5
"""The confidence from which a predicted point is drawn; a labelled one has visibility 1 or 2."""

ERROR_COLORS: Final = {
    CORRECT: "#56B4E9",
    MISSED: "#D55E00",
    FALSE_POSITIVE: "#D55E00",
    WRONG_CLASS: "#CC79A7",
    LOCALIZATION_ERROR: "#F0E442",
}
"""From Okabe and Ito's palette for the color-blind; missed and false positive are never on the same side."""
PAGE_COLOR: Final = "#FFFFFF"
EDGE_COLOR: Final = "#000000"
TEXT_COLOR: Final = "#222222"
LEGEND_COLOR: Final = "#6B6B6B"

PixelBox = tuple[int, int, int, int]


@dataclass(frozen=True)
class ErrorMark:
    """One object to draw.

    Args:
        box: x1 y1 x2 y2 in pixels of the image.
        verdict: Correct or an error type.
        label: The text beside it.
        outline: (k, 2) x and y, drawn in place of the box; None where there is none.
        points: (points, 2) x and y of the visible points, drawn as discs.
    """

    box: FloatArray
    verdict: str
    label: str
    outline: FloatArray | None
    points: FloatArray


def draw_detection_errors(
    image: ImageArray, errors: ImageErrors, names: Sequence[str], *, title: str
) -> Image.Image:
    """Draw truth on the left, predictions on the right, and a legend that counts the errors by type.

    Args:
        image: (height, width, 3) uint8, BGR.
        errors: The errors in the image.
        names: Class names by index.
        title: Such as the file's name.
    """
    names = shorten_names(replace_missing_letters(names))
    picture, scale = resize_image(image)
    width, height = picture.size
    sheet = Image.new("RGB", (max(MIN_SHEET_WIDTH, 2 * width + 3 * MARGIN), height + 132), PAGE_COLOR)
    pen = ImageDraw.Draw(sheet)
    _draw_title(pen, title, sheet.width)
    for left, heading, marks in (
        (MARGIN, "Truth", _mark_truth(errors, names)),
        (2 * MARGIN + width, "Prediction", mark_detections(errors, names)),
    ):
        pen.text((left, 60), heading, TEXT_COLOR, font=load_picture_font(heading, 16), anchor="ls")
        sheet.paste(draw_marks(picture.copy(), marks, scale), (left, 70))
    _draw_legend(sheet, errors)
    return sheet


def draw_classification_error(
    image: ImageArray, truth: str, guesses: Sequence[tuple[str, float]], *, title: str
) -> Image.Image:
    """Draw the image, and beside it a bar for each of the most probable classes.

    Args:
        image: (height, width, 3) uint8, BGR.
        truth: The name of its class.
        guesses: Names and probabilities, by descending probability.
        title: Such as the file's name.
    """
    picture, _ = resize_image(image)
    left = 2 * MARGIN + picture.width
    size = left + BAR_LENGTH + MARGIN, max(picture.height, BAR_SPACING * 6) + 70 + MARGIN
    sheet = Image.new("RGB", size, PAGE_COLOR)
    pen = ImageDraw.Draw(sheet)
    _draw_title(pen, title, sheet.width)
    texts = shorten_text(f"Truth: {truth}", left - MARGIN, size=16), "Prediction"
    for start, text in zip((MARGIN, left), texts, strict=True):
        pen.text((start, 60), text, TEXT_COLOR, font=load_picture_font(text, 16), anchor="ls")
    sheet.paste(picture, (MARGIN, 70))
    for row, (name, score) in enumerate(guesses):
        top = 74 + BAR_SPACING * row
        text = f"{shorten_text(name, BAR_LENGTH - 70, size=14)}  {score:.2f}"
        pen.text((left, top), text, LEGEND_COLOR, font=load_picture_font(text, 14), anchor="lt")
        bar = left, top + 20, left + max(1, round(score * BAR_LENGTH)), top + 32
        pen.rectangle(bar, fill=ERROR_COLORS[CORRECT if name == truth else WRONG_CLASS])
    return sheet


def resize_image(image: ImageArray, side: int = IMAGE_SIDE) -> tuple[Image.Image, float]:
    """Return a BGR image with its longer side at `side` pixels, and the scale."""
    picture = Image.fromarray(np.ascontiguousarray(image[..., ::-1]))
    scale = side / max(picture.size)
    width, height = (max(1, round(side * scale)) for side in picture.size)
    how = Image.Resampling.BICUBIC if scale > 1 else Image.Resampling.LANCZOS
    return picture.resize((width, height), how), scale


def shorten_text(text: str, room: int, *, size: int = 20) -> str:
    """Leave out the middle of a text that is wider than `room` pixels."""
    text = replace_missing_letters([text])[0]
    font = load_picture_font(text, size)
    kept = len(text)
    while kept > 8 and font.getlength(text if kept == len(text) else _drop_middle(text, kept)) > room:
        kept -= 1
    return text if kept == len(text) else _drop_middle(text, kept)


def _drop_middle(text: str, kept: int) -> str:
    return f"{text[: kept // 2]}…{text[-(kept - kept // 2) :]}"


def _draw_title(pen: ImageDraw.ImageDraw, title: str, width: int) -> None:
    text = shorten_text(title, width - 2 * MARGIN)
    pen.text((MARGIN, 30), text, TEXT_COLOR, font=load_picture_font(text, 20), anchor="ls")


def _mark_truth(errors: ImageErrors, names: Sequence[str]) -> list[ErrorMark]:
    verdicts = dict(zip(errors.partners.tolist(), errors.verdicts, strict=True))
    truth = errors.truth
    return [
        ErrorMark(
            truth.boxes[index],
            verdicts.get(index, MISSED),
            names[truth.classes[index]],
            *_get_shape(truth, index),
        )
        for index in np.flatnonzero(truth.counted).tolist()
    ]


def mark_detections(errors: ImageErrors, names: Sequence[str]) -> list[ErrorMark]:
    """Return what to draw of the detections in an image, each with its name and score."""
    found = errors.detections
    rows = enumerate(zip(found.classes, found.scores, errors.verdicts, strict=True))
    return [
        ErrorMark(found.boxes[index], verdict, f"{names[cls]} {score:.2f}", *_get_shape(found, index))
        for index, (cls, score, verdict) in rows
    ]


def mark_missed_objects(errors: ImageErrors, names: Sequence[str]) -> list[ErrorMark]:
    """Return what to draw of the objects that no detection is paired with."""
    truth = errors.truth
    return [
        ErrorMark(truth.boxes[index], MISSED, f"no {names[truth.classes[index]]}", *_get_shape(truth, index))
        for index in errors.missed.tolist()
    ]


def mark_true_objects(truth: GroundTruth, names: Sequence[str]) -> list[ErrorMark]:
    """Return what to draw of the true objects of an image."""
    return [
        ErrorMark(truth.boxes[index], CORRECT, names[truth.classes[index]], *_get_shape(truth, index))
        for index in np.flatnonzero(truth.counted).tolist()
    ]


def _get_shape(objects: GroundTruth | Detections, index: int) -> tuple[FloatArray | None, FloatArray]:
    """Return the outline of one object, and its points that are labelled or confident."""
    outline = objects.outlines[index] if index < len(objects.outlines) else None
    points = np.zeros((0, 3)) if objects.keypoints is None else objects.keypoints[index]
    visible = points[:, 2] >= MIN_POINT_CONFIDENCE if points.shape[1] > 2 else slice(None)
    return outline, points[visible, :2]


def draw_marks(picture: Image.Image, marks: Iterable[ErrorMark], scale: float) -> Image.Image:
    """Draw marks on a picture that is `scale` times its image.

    Correct ones come first, so that no error is covered, and all labels after all boxes.
    """
    marks = sorted(marks, key=lambda mark: mark.verdict != CORRECT)
    pen, occupied = ImageDraw.Draw(picture), list[PixelBox]()
    for mark in marks:
        _draw_shape(pen, mark, _scale_box(mark, scale, picture.size), scale)
    for mark in marks:
        if len(marks) <= MAX_LABELED_BOXES or mark.verdict != CORRECT:
            extent = round(pen.textlength(mark.label, font=load_picture_font(mark.label, 14))) + 8, 20
            place = _place_label(_scale_box(mark, scale, picture.size), extent, picture.size, occupied)
            occupied.append(place)
            _draw_label(pen, mark, place)
    return picture


def _draw_shape(pen: ImageDraw.ImageDraw, mark: ErrorMark, corners: PixelBox, scale: float) -> None:
    """Draw a box or an outline, and points, in the verdict's color, with a dark edge that always shows."""
    x1, y1, x2, y2 = corners
    color, width = ERROR_COLORS[mark.verdict], 2 if mark.verdict == CORRECT else 3
    if mark.outline is None:
        pen.rectangle((x1 - 1, y1 - 1, x2 + 1, y2 + 1), outline=EDGE_COLOR, width=width + 2)
        pen.rectangle(corners, outline=color, width=width)
    else:
        ring = [(x, y) for x, y in (mark.outline * scale).tolist()]
        pen.line([*ring, *ring[:2]], EDGE_COLOR, width=width + 2, joint="curve")
        pen.line([*ring, *ring[:2]], color, width=width, joint="curve")
    for x, y in (mark.points * scale).tolist():
        pen.ellipse((x - 4, y - 4, x + 4, y + 4), fill=color, outline=EDGE_COLOR)


def _scale_box(mark: ErrorMark, scale: float, extent: tuple[int, int]) -> PixelBox:
    """Scale a box, and keep its outline inside the picture; an untrained model may swap its corners."""
    inside = np.clip(np.rint(mark.box * scale), 1, np.array([*extent, *extent]) - 2)
    x1, y1, x2, y2 = np.sort(inside.astype(int).reshape(2, 2), axis=0).ravel().tolist()
    return x1, y1, x2, y2


def _place_label(
    box: PixelBox, label: tuple[int, int], extent: tuple[int, int], occupied: Sequence[PixelBox]
) -> PixelBox:
    """Find room for a label: above the box, below it, inside it; flush left, or else flush right."""
    width, height = label
    lefts = [max(0, min(left, extent[0] - width)) for left in (box[0] - 1, box[2] + 2 - width)]
    tops = [top for top in (box[1] - height, box[3] + 1, box[1]) if 0 <= top <= extent[1] - height]
    places = [(left, top, left + width, top + height) for top in tops or [0] for left in lefts]
    free = (place for place in places if not any(_overlap(place, other) for other in occupied))
    return next(free, places[0])


def _overlap(one: PixelBox, other: PixelBox) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _draw_label(pen: ImageDraw.ImageDraw, mark: ErrorMark, place: PixelBox) -> None:
    left, top, right, bottom = place
    color = ERROR_COLORS[mark.verdict]
    pen.rectangle((left, top, right, bottom - 1), fill=color)
    text_color = PAGE_COLOR if color == ERROR_COLORS[MISSED] else TEXT_COLOR
    pen.text(
        (left + 4, (top + bottom) / 2),
        mark.label,
        text_color,
        font=load_picture_font(mark.label, 14),
        anchor="lm",
    )


def _draw_legend(sheet: Image.Image, errors: ImageErrors) -> None:
    """Name the colors that occur, with a count of each."""
    pen, font = ImageDraw.Draw(sheet), load_picture_font("", 14)
    x, y = MARGIN, sheet.height - 31
    counts = {CORRECT: errors.verdicts.count(CORRECT), **errors.count_errors()}
    for verdict, count in counts.items():
        pen.rectangle((x, y - 7, x + 14, y + 7), fill=ERROR_COLORS[verdict])
        pen.text((x + 22, y), f"{verdict}: {count}", LEGEND_COLOR, font=font, anchor="lm")
        x += 22 + round(pen.textlength(f"{verdict}: {count}", font=font)) + 26
