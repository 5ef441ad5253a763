"""A picture of one image that is taken for the wrong class: what it is, and what the model thinks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from pipeline.core.outcomes import RIGHT, WRONG
from pipeline.edges.sheet import COLOURS, INK, MARGIN, MUTED, PAPER, enlarged, font, shortened

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
