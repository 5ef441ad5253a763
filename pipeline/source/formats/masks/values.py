"""Decode mask images to class numbers or colors per pixel, and outline the regions of each value."""

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
from PIL import Image, UnidentifiedImageError

from pipeline.core.findings import AnnotationNote
from pipeline.source.reading.parsing import format_file_name
from pipeline.source.reading.shapes import Shape
from pipeline.source.reading.trace_mask import trace_mask_outline

MAX_MASK_PIXELS: Final = 100_000_000
"""A larger mask is not decoded."""
LARGE_MASK_PIXELS: Final = 20_000_000
"""Larger masks are decoded one at a time, to limit memory."""
LARGE_MASK_LOCK: Final = Lock()

_MAX_VALUES: Final = 256
_MAX_REGIONS: Final = 2000
MIN_REGION_PIXELS: Final = 4
"""Smaller regions are drawing mistakes or blurred edges."""
_MASK_FORMATS: Final = ("PNG", "BMP", "TIFF", "GIF", "JPEG", "WEBP")

MaskPixels = NDArray[np.integer[Any]]
MaskValue = tuple[str, int]
"""`number` and a class number, or `color` and a color as 0xrrggbb."""


class MaskContent(NamedTuple):
    """The content of one mask image.

    Attributes:
        size: Width and height in pixels.
        regions: Each connected region: its value and its shape.
        notes: What was corrected.
        specks: The number of regions of each value that are too small to be objects.
        fault: Why the mask cannot be used; empty if it can.
        palette: Colors by number, as 0xrrggbb.
    """

    size: tuple[int, int] | None = None
    regions: tuple[tuple[MaskValue, Shape], ...] = ()
    notes: tuple[AnnotationNote, ...] = ()
    specks: Mapping[MaskValue, int] = {}
    fault: str = ""
    palette: Mapping[int, int] = {}


def read_mask(path: Path) -> MaskContent:
    """Read a mask image; regions are the 8-connected components of each value."""
    if not path.is_file():  # opening a pipe would block
        return MaskContent(fault=f"its mask {format_file_name(path)} is no file")
    with ExitStack() as lock:
        return _decode_file(path, lock)


def _decode_file(path: Path, lock: ExitStack) -> MaskContent:
    """Decode a mask image; a large one waits for the others, and `lock` holds until it is done."""
    name = f"its mask {format_file_name(path)}"
    try:
        with Image.open(path, formats=_MASK_FORMATS) as image:
            if image.width * image.height > MAX_MASK_PIXELS:
                return MaskContent(fault=f"{name} has more than {MAX_MASK_PIXELS:,} pixels")
            if image.width * image.height > LARGE_MASK_PIXELS:
                lock.enter_context(LARGE_MASK_LOCK)
            image.load()
            is_jpeg = image.format == "JPEG"
            kind, values = _pixel_values(image)
            palette = _read_palette(image)
    except Exception as error:  # decoders raise any type: OSError, SyntaxError, struct.error, ...
        return MaskContent(fault=f"{name} cannot be read ({_explain_error(error)})")
    if is_jpeg:
        kind, values = "number", np.where(_brightness(values, kind) > 127, np.uint8(255), np.uint8(0))
    content = _find_regions(kind, values)
    fault = f"{name} has {content.fault}" if content.fault else ""
    note = AnnotationNote(False, "a JPEG mask: light is taken for object, dark for background")
    return content._replace(palette=palette, fault=fault, notes=(note,) if is_jpeg else ())


def decode_object_mask(data: bytes) -> NDArray[np.uint8]:
    """Decode the mask of one object: 1 for object, 0 for background.

    Raises:
        ValueError: The data is not an image, or has too many pixels.
    """
    try:
        with Image.open(io.BytesIO(data), formats=_MASK_FORMATS) as image:
            if image.width * image.height > MAX_MASK_PIXELS:
                raise ValueError(f"more than {MAX_MASK_PIXELS:,} pixels")
            return (_pixel_values(image)[1] > 0).astype(np.uint8)
    except Exception as error:  # decoders raise any type: OSError, SyntaxError, struct.error, ...
        raise ValueError(f"a mask that is no image ({_explain_error(error)})") from None


def _explain_error(error: Exception) -> str:
    """Shorten an error; Pillow's text for an unknown format holds a memory address or an absolute path."""
    return "unknown format" if isinstance(error, UnidentifiedImageError) else str(error)[:80]


def _find_regions(kind: str, values: MaskPixels) -> MaskContent:
    """Find the connected regions of each value but 0."""
    present = np.unique(values)
    if len(present) > _MAX_VALUES:
        return MaskContent(fault=f"{len(present)} values, more than there are classes")
    regions: list[tuple[MaskValue, Shape]] = []
    specks: dict[MaskValue, int] = {}
    for value in present[present > 0].tolist():
        shapes, too_small = _outline_regions((values == value).view(np.uint8))
        regions += [((kind, value), shape) for shape in shapes]
        specks |= {(kind, value): too_small} if too_small else {}
    if len(regions) > _MAX_REGIONS:
        return MaskContent(fault=f"{len(regions)} or more separate regions, which are no objects")
    return MaskContent((values.shape[1], values.shape[0]), tuple(regions), specks=specks)


def _pixel_values(image: Image.Image) -> tuple[str, MaskPixels]:
    """Return the kind and the value of each pixel: class numbers, or colors as 0xrrggbb.

    An RGB image with only gray pixels holds numbers. The data type is as small as possible: masks may have
    100 million pixels.
    """
    if image.mode == "1":  # its array has 255 for true
        return "number", (np.array(image.convert("L")) > 0).view(np.uint8)
    if image.mode in {"P", "L", "I"} or image.mode.startswith("I;16"):
        return "number", np.array(image)
    if image.mode in {"LA", "PA"}:
        return "number", np.array(image)[:, :, 0].copy()
    pixels = np.array(image.convert("RGB"))
    red, green, blue = pixels[:, :, 0], pixels[:, :, 1], pixels[:, :, 2]
    if (red == green).all() and (green == blue).all():
        return "number", red.copy()
    colors = red.astype(np.uint32)
    for channel in (green, blue):
        colors <<= 8
        colors |= channel
    return "color", colors


def _brightness(values: MaskPixels, kind: str) -> MaskPixels:
    """Return the brightest channel of each color."""
    if kind == "number":
        return values
    brightest: MaskPixels = np.maximum(values >> 16, np.maximum((values >> 8) & 255, values & 255))
    return brightest


def _read_palette(image: Image.Image) -> dict[int, int]:
    """Return the colors of a palette by number, as 0xrrggbb."""
    table = image.getpalette("RGB") if image.mode == "P" else None
    rows = np.array(table or [], np.int64).reshape(-1, 3)
    return {number: int(red << 16 | green << 8 | blue) for number, (red, green, blue) in enumerate(rows)}


def _outline_regions(mask: NDArray[np.uint8]) -> tuple[list[Shape], int]:
    """Outline the connected regions of a binary mask; return also how many regions are too small."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    shapes: list[Shape] = []
    specks = 0
    for number in range(1, count):
        left, top, width, height, area = stats[number].tolist()
        if area < MIN_REGION_PIXELS:
            specks += 1
        elif len(shapes) <= _MAX_REGIONS:
            window = labels[top : top + height, left : left + width] == number
            shapes.append(trace_mask_outline(window.astype(np.uint8), left=left, top=top))
    return shapes, specks
