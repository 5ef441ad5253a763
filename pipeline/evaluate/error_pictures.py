"""Pictures of one image judged: truth on the left, prediction on the right, each error in its colour."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from pipeline.core.detections import Detections, GroundTruth
from pipeline.evaluate.metrics.error_types import ALARM, LOOSE, MISSED, RIGHT, WRONG, ImageErrors

NARROWEST: Final = 640
"""The sheet's least width, so that title and legend have room beside a tall image."""

CROWDED: Final = 15
"""With more boxes than this on a side, only the errors are labelled."""

LIKELY: Final = 0.5
"""The confidence from which a point is drawn; a labelled one has 1 or 2."""

PixelBox = tuple[int, int, int, int]


@dataclass(frozen=True)
class ErrorMark:
    """One object to draw.

    Args:
        box: x1 y1 x2 y2 in pixels of the image.
        verdict: What became of it.
        label: What is written beside it.
        outline: (k, 2) x and y, drawn in place of the box; None where there is none.
        points: (points, 2) x and y of those that are to be seen, drawn as discs.
    """

    box: NDArray[np.float64]
    verdict: str
    label: str
    outline: NDArray[np.float64] | None
    points: NDArray[np.float64]


def compare(
    image: NDArray[np.uint8], outcome: ImageErrors, names: Sequence[str], *, title: str
) -> Image.Image:
    """Draw both sides, with the title above and below them a legend that counts the errors by reason.

    Args:
        image: (height, width, 3) uint8, BGR.
        outcome: The image, judged.
        names: The class names by index.
        title: Such as the file's name.
    """
    picture, scale = enlarged(image)
    width, height = picture.size
    sheet = Image.new("RGB", (max(NARROWEST, 2 * width + 3 * MARGIN), height + 132), PAPER)
    draw = ImageDraw.Draw(sheet)
    draw.text((MARGIN, 30), shortened(title, sheet.width - 2 * MARGIN), INK, font=font(20), anchor="ls")
    for left, heading, marks in (
        (MARGIN, "Truth", _true_marks(outcome, names)),
        (2 * MARGIN + width, "Prediction", _found_marks(outcome, names)),
    ):
        draw.text((left, 60), heading, INK, font=font(16), anchor="ls")
        sheet.paste(_marked(picture.copy(), marks, scale), (left, 70))
    _legend(sheet, outcome)
    return sheet


def _true_marks(outcome: ImageErrors, names: Sequence[str]) -> list[ErrorMark]:
    verdict = dict(zip(outcome.partners.tolist(), outcome.verdicts, strict=True))
    truth = outcome.truth
    return [
        ErrorMark(
            truth.boxes[index], verdict.get(index, MISSED), names[truth.classes[index]], *_shape(truth, index)
        )
        for index in np.flatnonzero(truth.counted).tolist()
    ]


def _found_marks(outcome: ImageErrors, names: Sequence[str]) -> list[ErrorMark]:
    found = outcome.found
    rows = enumerate(zip(found.classes, found.scores, outcome.verdicts, strict=True))
    return [
        ErrorMark(found.boxes[index], verdict, f"{names[cls]} {score:.2f}", *_shape(found, index))
        for index, (cls, score, verdict) in rows
    ]


def _shape(
    what: GroundTruth | Detections, index: int
) -> tuple[NDArray[np.float64] | None, NDArray[np.float64]]:
    """Return the outline and the points of one object; of points those that are labelled, or likely seen."""
    outline = what.outlines[index] if index < len(what.outlines) else None
    points = np.zeros((0, 3)) if what.keypoints is None else what.keypoints[index]
    seen = points[:, 2] >= LIKELY if points.shape[1] > 2 else slice(None)
    return outline, points[seen, :2]


def _marked(picture: Image.Image, marks: Iterable[ErrorMark], scale: float) -> Image.Image:
    """Draw the right ones first, so that no error is covered, and all labels after all boxes."""
    marks = sorted(marks, key=lambda mark: mark.verdict != RIGHT)
    draw, taken = ImageDraw.Draw(picture), list[PixelBox]()
    for mark in marks:
        _outlined(draw, mark, _corners(mark, scale, picture.size), scale)
    for mark in marks:
        if len(marks) <= CROWDED or mark.verdict != RIGHT:
            extent = round(draw.textlength(mark.label, font=font(14))) + 8, 20
            place = _place(_corners(mark, scale, picture.size), extent, picture.size, taken)
            taken.append(place)
            _label(draw, mark, place)
    return picture


def _outlined(draw: ImageDraw.ImageDraw, mark: ErrorMark, corners: PixelBox, scale: float) -> None:
    """Draw a box or an outline, and points, in the verdict's colour, with an edge that always shows."""
    x1, y1, x2, y2 = corners
    colour, width = COLOURS[mark.verdict], 2 if mark.verdict == RIGHT else 3
    if mark.outline is None:
        draw.rectangle((x1 - 1, y1 - 1, x2 + 1, y2 + 1), outline=EDGE, width=width + 2)
        draw.rectangle(corners, outline=colour, width=width)
    else:
        ring = [(x, y) for x, y in (mark.outline * scale).tolist()]
        draw.line([*ring, *ring[:2]], EDGE, width=width + 2, joint="curve")
        draw.line([*ring, *ring[:2]], colour, width=width, joint="curve")
    for x, y in (mark.points * scale).tolist():
        draw.ellipse((x - 4, y - 4, x + 4, y + 4), fill=colour, outline=EDGE)


def _corners(mark: ErrorMark, scale: float, extent: tuple[int, int]) -> PixelBox:
    """Scale a box, and keep its outline inside the picture; a model that knows nothing yet inverts boxes."""
    inside = np.clip(np.rint(mark.box * scale), 1, np.array([*extent, *extent]) - 2)
    x1, y1, x2, y2 = np.sort(inside.astype(int).reshape(2, 2), axis=0).ravel().tolist()
    return x1, y1, x2, y2


def _place(
    box: PixelBox, label: tuple[int, int], extent: tuple[int, int], taken: Sequence[PixelBox]
) -> PixelBox:
    """Find room for a label: above the box, below it, inside it; flush left, or else flush right."""
    width, height = label
    lefts = [max(0, min(left, extent[0] - width)) for left in (box[0] - 1, box[2] + 2 - width)]
    tops = [top for top in (box[1] - height, box[3] + 1, box[1]) if 0 <= top <= extent[1] - height]
    places = [(left, top, left + width, top + height) for top in tops or [0] for left in lefts]
    return next((place for place in places if not any(_meet(place, other) for other in taken)), places[0])


def _meet(one: PixelBox, other: PixelBox) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _label(draw: ImageDraw.ImageDraw, mark: ErrorMark, place: PixelBox) -> None:
    left, top, right, bottom = place
    draw.rectangle((left, top, right, bottom - 1), fill=COLOURS[mark.verdict])
    ink = PAPER if COLOURS[mark.verdict] == COLOURS[MISSED] else INK
    draw.text((left + 4, (top + bottom) / 2), mark.label, ink, font=font(14), anchor="lm")


def _legend(sheet: Image.Image, outcome: ImageErrors) -> None:
    """Explain the colours that are there, and count them."""
    draw, face = ImageDraw.Draw(sheet), font(14)
    x, y = MARGIN, sheet.height - 31
    counts = {RIGHT: outcome.verdicts.count(RIGHT), **outcome.reasons()}
    for verdict, count in counts.items():
        draw.rectangle((x, y - 7, x + 14, y + 7), fill=COLOURS[verdict])
        draw.text((x + 22, y), f"{verdict}: {count}", MUTED, font=face, anchor="lm")
        x += 22 + round(draw.textlength(f"{verdict}: {count}", font=face)) + 26


BAR: Final = 360
"""Pixels of a bar that stands for certainty."""


STEP: Final = 46


def show(
    image: NDArray[np.uint8], truth: str, guesses: Sequence[tuple[str, float]], *, title: str
) -> Image.Image:
    """Draw the image, beside it a bar for each of the likeliest classes, the right one in its colour.

    Args:
        image: (height, width, 3) uint8, BGR.
        truth: The name of its class.
        guesses: Names and probabilities, the likeliest first.
        title: Such as the file's name.
    """
    picture, _ = enlarged(image)
    left = 2 * MARGIN + picture.width
    sheet = Image.new("RGB", (left + BAR + MARGIN, max(picture.height, STEP * 6) + 70 + MARGIN), PAPER)
    pen = ImageDraw.Draw(sheet)
    pen.text((MARGIN, 30), shortened(title, sheet.width - 2 * MARGIN), INK, font=font(20), anchor="ls")
    pen.text((MARGIN, 60), f"Truth: {truth}", INK, font=font(16), anchor="ls")
    pen.text((left, 60), "Prediction", INK, font=font(16), anchor="ls")
    sheet.paste(picture, (MARGIN, 70))
    for row, (name, score) in enumerate(guesses):
        top = 74 + STEP * row
        colour = COLOURS[RIGHT if name == truth else WRONG]
        pen.text(
            (left, top),
            f"{shortened(name, BAR - 70, size=14)}  {score:.2f}",
            MUTED,
            font=font(14),
            anchor="lt",
        )
        pen.rectangle((left, top + 20, left + max(1, round(score * BAR)), top + 32), fill=colour)
    return sheet


COLOURS: Final = {
    RIGHT: "#56B4E9",
    MISSED: "#D55E00",
    ALARM: "#D55E00",
    WRONG: "#CC79A7",
    LOOSE: "#F0E442",
}
"""From Okabe and Ito's palette, made for the colour-blind; missed and false alarm never share a side."""


PAPER: Final = "#FFFFFF"


EDGE: Final = "#000000"


INK: Final = "#222222"


MUTED: Final = "#6B6B6B"


MARGIN: Final = 20


SIDE: Final = 560
"""The longer side of an image, in pixels."""


def enlarged(image: NDArray[np.uint8]) -> tuple[Image.Image, float]:
    """Return a BGR image with its longer side at `SIDE` pixels, and how much larger that is."""
    picture = Image.fromarray(np.ascontiguousarray(image[..., ::-1]))
    scale = SIDE / max(picture.size)
    width, height = (max(1, round(side * scale)) for side in picture.size)
    how = Image.Resampling.BICUBIC if scale > 1 else Image.Resampling.LANCZOS
    return picture.resize((width, height), how), scale


def shortened(text: str, room: int, *, size: int = 20) -> str:
    """Leave out the middle of a text that is wider than the room, in pixels."""
    face = font(size)
    kept = len(text)
    while kept > 8 and face.getlength(text if kept == len(text) else _ends(text, kept)) > room:
        kept -= 1
    return text if kept == len(text) else _ends(text, kept)


def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Return the typeface of these pictures."""
    return ImageFont.load_default(size)


def _ends(text: str, kept: int) -> str:
    return f"{text[: kept // 2]}…{text[-(kept - kept // 2) :]}"
