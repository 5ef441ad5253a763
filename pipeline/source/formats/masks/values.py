"""Mask images as values per pixel: class numbers or colours, and the outlines of what has one value."""

from __future__ import annotations

import io
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from threading import Lock
from typing import Any, Final, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.core.findings import AnnotationNote
from pipeline.source.reading.parsing import own_name
from pipeline.source.reading.shapes import Shape
from pipeline.source.reading.trace_mask import trace

LARGEST: Final = 100_000_000
"""Pixels of a mask; a larger one is not decoded."""
GIANT: Final = 20_000_000
"""Pixels of a mask that is read while no other giant is, for the memory it takes."""
ALONE: Final = Lock()

_MOST_VALUES: Final = 256
_MOST_PARTS: Final = 2000
SPECK: Final = 4
"""Pixels; what is smaller is a slip of the pen, or of a blurred edge."""
_FORMATS: Final = ("PNG", "BMP", "TIFF", "GIF", "JPEG", "WEBP")

MaskPixels = NDArray[np.integer[Any]]
MaskValue = tuple[str, int]
"""What stands for a class: `number` and a class number, or `colour` and red, green, blue as 0xrrggbb."""


class MaskContent(NamedTuple):
    """What one mask image holds.

    Attributes:
        size: Width and height.
        regions: Each connected region: its value and its shape.
        notes: What was mended.
        specks: How many regions of each value were too small to be objects.
        fault: Why it cannot be used, if so.
        colours: Of a palette's numbers, as 0xrrggbb.
    """

    size: tuple[int, int] | None = None
    regions: tuple[tuple[MaskValue, Shape], ...] = ()
    notes: tuple[AnnotationNote, ...] = ()
    specks: Mapping[MaskValue, int] = {}
    fault: str = ""
    colours: Mapping[int, int] = {}


def read(path: Path) -> MaskContent:
    """Read a mask image; a region is what one value covers without a gap, corners counting as touching."""
    if not path.is_file():  # to open a pipe would wait for ever
        return MaskContent(fault=f"its mask {own_name(path)} is no file")
    with ExitStack() as alone:
        return _read(path, alone)


def _read(path: Path, alone: ExitStack) -> MaskContent:
    try:
        with Image.open(path, formats=_FORMATS) as image:
            if image.width * image.height > LARGEST:
                return MaskContent(fault=f"its mask {own_name(path)} has more than {LARGEST:,} pixels")
            if image.width * image.height > GIANT:
                alone.enter_context(ALONE)
            image.load()
            blurred = image.format == "JPEG"
            kind, values = _values(image)
            colours = _palette(image)
    except Exception as error:  # decoders raise what they like: OSError, SyntaxError, struct.error, ...
        return MaskContent(fault=f"its mask {own_name(path)} cannot be read ({str(error)[:80]})")
    if blurred:
        kind, values = "number", np.where(_light(values, kind) > 127, np.uint8(255), np.uint8(0))
    masked = _divided(kind, values)
    fault = f"its mask {own_name(path)} has {masked.fault}" if masked.fault else ""
    notes = (
        (AnnotationNote(False, "a JPEG mask: light is taken for object, dark for background"),)
        if blurred
        else ()
    )
    return masked._replace(colours=colours, fault=fault, notes=notes)


def covered(data: bytes) -> NDArray[np.uint8]:
    """Decode a mask of one object: 1 where it is.

    Raises:
        ValueError: It is no image, or one of too many pixels.
    """
    try:
        with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
            if image.width * image.height > LARGEST:
                raise ValueError(f"more than {LARGEST:,} pixels")
            return (_values(image)[1] > 0).astype(np.uint8)
    except Exception as error:  # decoders raise what they like: OSError, SyntaxError, struct.error, ...
        raise ValueError(f"a mask that is no image ({str(error)[:80]})") from None


def _divided(kind: str, values: MaskPixels) -> MaskContent:
    """Find the regions of each value."""
    present = np.unique(values)
    if len(present) > _MOST_VALUES:
        return MaskContent(fault=f"{len(present)} values, more than there are classes")
    regions: list[tuple[MaskValue, Shape]] = []
    specks: dict[MaskValue, int] = {}
    for value in present[present > 0].tolist():
        found, small = _regions((values == value).view(np.uint8))
        regions += [((kind, value), shape) for shape in found]
        specks |= {(kind, value): small} if small else {}
    if len(regions) > _MOST_PARTS:
        return MaskContent(fault=f"{len(regions)} or more separate regions, which are no objects")
    return MaskContent((values.shape[1], values.shape[0]), tuple(regions), specks=specks)


def _values(image: Image.Image) -> tuple[str, MaskPixels]:
    """Return class numbers, or colours as one number each; a grey image in colours is one of numbers.

    They are as narrow as they can be: a mask of 100 million pixels is no rare one.
    """
    if image.mode == "1":  # whose array has bytes of 255 for true
        return "number", (np.array(image.convert("L")) > 0).view(np.uint8)
    if image.mode in {"P", "L", "I"} or image.mode.startswith("I;16"):
        return "number", np.array(image)
    if image.mode in {"LA", "PA"}:
        return "number", np.array(image)[:, :, 0].copy()
    pixels = np.array(image.convert("RGB"))
    red, green, blue = pixels[:, :, 0], pixels[:, :, 1], pixels[:, :, 2]
    if (red == green).all() and (green == blue).all():
        return "number", red.copy()
    colours = red.astype(np.uint32)
    for part in (green, blue):
        colours <<= 8
        colours |= part
    return "colour", colours


def _light(values: MaskPixels, kind: str) -> MaskPixels:
    """Return the brightest of a colour's parts."""
    if kind == "number":
        return values
    brightest: MaskPixels = np.maximum(values >> 16, np.maximum((values >> 8) & 255, values & 255))
    return brightest


def _palette(image: Image.Image) -> dict[int, int]:
    """Return the colours of a palette's numbers."""
    table = image.getpalette("RGB") if image.mode == "P" else None
    rows = np.array(table or [], np.int64).reshape(-1, 3)
    return {number: int(red << 16 | green << 8 | blue) for number, (red, green, blue) in enumerate(rows)}


def _regions(mask: NDArray[np.uint8]) -> tuple[list[Shape], int]:
    """Outline the connected regions of a mask, and count those that are too small."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    shapes: list[Shape] = []
    specks = 0
    for number in range(1, count):
        left, top, width, height, area = stats[number].tolist()
        if area < SPECK:
            specks += 1
        elif len(shapes) <= _MOST_PARTS:
            window = labels[top : top + height, left : left + width] == number
            shapes.append(trace(window.astype(np.uint8), left=left, top=top))
    return shapes, specks
