"""What the pictures of errors have in common: colours, lettering, and the image at one size."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFont

from pipeline.core.outcomes import ALARM, LOOSE, MISSED, RIGHT, WRONG

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
