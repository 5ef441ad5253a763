"""Pictures of one image judged: truth on the left, prediction on the right, each error in its colour."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from pipeline.core.outcomes import ALARM, LOOSE, MISSED, RIGHT, WRONG, Outcome

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
"""The longer side of each of the two images, in pixels."""

NARROWEST: Final = 640
"""The sheet's least width, so that title and legend have room beside a tall image."""

CROWDED: Final = 15
"""With more boxes than this on a side, only the errors are labelled."""

Corners = tuple[int, int, int, int]


@dataclass(frozen=True)
class Mark:
    """One box to draw: x1, y1, x2, y2 in pixels of the image, its verdict, its label."""

    box: NDArray[np.float64]
    verdict: str
    label: str


def compare(image: NDArray[np.uint8], outcome: Outcome, names: Sequence[str], *, title: str) -> Image.Image:
    """Draw both sides, with the title above and below them a legend that counts the errors by reason.

    Args:
        image: (height, width, 3) uint8, BGR.
        outcome: The image, judged.
        names: The class names by index.
        title: Such as the file's name.
    """
    picture = Image.fromarray(np.ascontiguousarray(image[..., ::-1]))
    scale = SIDE / max(picture.size)
    width, height = (max(1, round(side * scale)) for side in picture.size)
    picture = picture.resize(
        (width, height), Image.Resampling.BICUBIC if scale > 1 else Image.Resampling.LANCZOS
    )
    sheet = Image.new("RGB", (max(NARROWEST, 2 * width + 3 * MARGIN), height + 132), PAPER)
    draw = ImageDraw.Draw(sheet)
    draw.text((MARGIN, 30), _shortened(title, sheet.width - 2 * MARGIN), INK, font=_font(20), anchor="ls")
    for left, heading, marks in (
        (MARGIN, "Truth", _true_marks(outcome, names)),
        (2 * MARGIN + width, "Prediction", _found_marks(outcome, names)),
    ):
        draw.text((left, 60), heading, INK, font=_font(16), anchor="ls")
        sheet.paste(_marked(picture.copy(), marks, scale), (left, 70))
    _legend(sheet, outcome)
    return sheet


def _true_marks(outcome: Outcome, names: Sequence[str]) -> list[Mark]:
    verdict = dict(zip(outcome.partners.tolist(), outcome.verdicts, strict=True))
    truth = enumerate(zip(outcome.truth.boxes, outcome.truth.classes, strict=True))
    return [Mark(box, verdict.get(index, MISSED), names[cls]) for index, (box, cls) in truth]


def _found_marks(outcome: Outcome, names: Sequence[str]) -> list[Mark]:
    found = zip(*outcome.found, outcome.verdicts, strict=True)
    return [Mark(box, verdict, f"{names[cls]} {score:.2f}") for box, score, cls, verdict in found]


def _marked(picture: Image.Image, marks: Iterable[Mark], scale: float) -> Image.Image:
    """Draw the right ones first, so that no error is covered, and all labels after all boxes."""
    marks = sorted(marks, key=lambda mark: mark.verdict != RIGHT)
    draw, taken = ImageDraw.Draw(picture), list[Corners]()
    for mark in marks:
        x1, y1, x2, y2 = _corners(mark, scale, picture.size)
        width = 2 if mark.verdict == RIGHT else 3
        draw.rectangle((x1 - 1, y1 - 1, x2 + 1, y2 + 1), outline=EDGE, width=width + 2)
        draw.rectangle((x1, y1, x2, y2), outline=COLOURS[mark.verdict], width=width)
    for mark in marks:
        if len(marks) <= CROWDED or mark.verdict != RIGHT:
            extent = round(draw.textlength(mark.label, font=_font(14))) + 8, 20
            place = _place(_corners(mark, scale, picture.size), extent, picture.size, taken)
            taken.append(place)
            _label(draw, mark, place)
    return picture


def _corners(mark: Mark, scale: float, extent: tuple[int, int]) -> Corners:
    """Scale a box, and keep its outline inside the picture."""
    inside = np.clip(np.rint(mark.box * scale), 1, np.array([*extent, *extent]) - 2)
    x1, y1, x2, y2 = inside.astype(int).tolist()
    return x1, y1, x2, y2


def _place(
    box: Corners, label: tuple[int, int], extent: tuple[int, int], taken: Sequence[Corners]
) -> Corners:
    """Find room for a label: above the box, below it, inside it; flush left, or else flush right."""
    width, height = label
    lefts = [max(0, min(left, extent[0] - width)) for left in (box[0] - 1, box[2] + 2 - width)]
    tops = [top for top in (box[1] - height, box[3] + 1, box[1]) if 0 <= top <= extent[1] - height]
    places = [(left, top, left + width, top + height) for top in tops or [0] for left in lefts]
    return next((place for place in places if not any(_meet(place, other) for other in taken)), places[0])


def _meet(one: Corners, other: Corners) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _label(draw: ImageDraw.ImageDraw, mark: Mark, place: Corners) -> None:
    left, top, right, bottom = place
    draw.rectangle((left, top, right, bottom - 1), fill=COLOURS[mark.verdict])
    ink = PAPER if COLOURS[mark.verdict] == COLOURS[MISSED] else INK
    draw.text((left + 4, (top + bottom) / 2), mark.label, ink, font=_font(14), anchor="lm")


def _legend(sheet: Image.Image, outcome: Outcome) -> None:
    """Explain the colours that are there, and count them."""
    draw, font = ImageDraw.Draw(sheet), _font(14)
    x, y = MARGIN, sheet.height - 31
    counts = {RIGHT: outcome.verdicts.count(RIGHT), **outcome.reasons()}
    for verdict, count in counts.items():
        draw.rectangle((x, y - 7, x + 14, y + 7), fill=COLOURS[verdict])
        draw.text((x + 22, y), f"{verdict}: {count}", MUTED, font=font, anchor="lm")
        x += 22 + round(draw.textlength(f"{verdict}: {count}", font=font)) + 26


def _shortened(text: str, room: int) -> str:
    """Leave out the middle of a text that is wider than the room."""
    font = _font(20)
    kept = len(text)
    while kept > 8 and font.getlength(text if kept == len(text) else _ends(text, kept)) > room:
        kept -= 1
    return text if kept == len(text) else _ends(text, kept)


def _ends(text: str, kept: int) -> str:
    return f"{text[: kept // 2]}…{text[-(kept - kept // 2) :]}"


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
