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
from pipeline.source.formats.masks.gray_levels import (
    WHITE,
    GrayLevels,
    count_values,
    find_flat_blocks,
    measure_gray_levels,
)
from pipeline.source.formats.masks.pixels import (
    MASK_FORMATS,
    MAX_MASK_PIXELS,
    MaskPixels,
    decode_pixels,
    get_brightness,
    read_palette,
)
from pipeline.source.reading.parsing import format_file_name
from pipeline.source.reading.shapes import Shape
from pipeline.source.reading.trace_mask import trace_mask_outline

LARGE_MASK_PIXELS: Final = 20_000_000
"""Larger masks are decoded one at a time, to limit memory."""
LARGE_MASK_LOCK: Final = Lock()

_MAX_VALUES: Final = 256
_MAX_REGIONS: Final = 2000
MIN_REGION_PIXELS: Final = 4
"""Smaller regions are drawing mistakes or blurred edges."""
_MIN_LOSSY_SHARE: Final = 0.1
"""Share of the colored pixels that a color of a JPEG mask has, if it is no blurred edge."""

MaskValue = tuple[str, int]
"""`number` and a class number, or `color` and a color as 0xrrggbb."""


class MaskReading(NamedTuple):
    """How the pixels of all masks of a source are read.

    Attributes:
        threshold: Gray masks are black and white: lighter pixels are object; None: they hold class numbers.
        backgrounds: The number and the color that mean background, -1 if none does; 0 if not given.
        measure_only: Only measure the gray levels.
    """

    threshold: int | None = None
    backgrounds: Mapping[str, int] = {}
    measure_only: bool = False


DEFAULT_READING: Final = MaskReading()


class MaskContent(NamedTuple):
    """The content of one mask image.

    Attributes:
        size: Width and height in pixels.
        regions: Each connected region: its value and its shape.
        notes: What was corrected.
        specks: The number of regions of each value that are too small to be objects.
        fault: Why the mask cannot be used; empty if it can.
        palette: Colors by number, as 0xrrggbb.
        levels: How often gray values occur, if they may mean brightness.
        lossy_colors: Colors of larger areas in a JPEG mask, rounded.
    """

    size: tuple[int, int] | None = None
    regions: tuple[tuple[MaskValue, Shape], ...] = ()
    notes: tuple[AnnotationNote, ...] = ()
    specks: Mapping[MaskValue, int] = {}
    fault: str = ""
    palette: Mapping[int, int] = {}
    levels: GrayLevels | None = None
    lossy_colors: frozenset[int] = frozenset()

    @property
    def values(self) -> set[MaskValue]:
        """Return all values but the background."""
        return {*self.specks, *(value for value, _ in self.regions)}


def read_mask(path: Path, reading: MaskReading = DEFAULT_READING) -> MaskContent:
    """Read a mask image; regions are the 8-connected components of each value."""
    if not path.is_file():  # opening a pipe would block
        return MaskContent(fault=f"its mask {format_file_name(path)} is no file")
    with ExitStack() as lock:
        return _read_pixels(path, reading, lock)


def _read_pixels(path: Path, reading: MaskReading, lock: ExitStack) -> MaskContent:
    """Decode a mask and outline its regions; `lock` holds until a large one is done."""
    name = f"its mask {format_file_name(path)}"
    try:
        pixels = _decode_file(path, lock)
    except Exception as error:  # decoders raise any type: OSError, SyntaxError, struct.error, ...
        return MaskContent(fault=f"{name} cannot be read ({_explain_error(error)})")
    levels = _measure(pixels)
    colors = (
        _find_lossy_colors(pixels.values) if pixels.lossy and pixels.kind == "color" else frozenset[int]()
    )
    measured = MaskContent(palette=pixels.palette, levels=levels, lossy_colors=colors)
    if reading.measure_only:
        return measured
    kind, values = _separate_light(pixels, reading.threshold) if levels else (pixels.kind, pixels.values)
    content = _find_regions(kind, values, reading.backgrounds.get(kind, 0))
    fault = f"{name} has {content.fault}" if content.fault else ""
    note = AnnotationNote(False, "a JPEG mask: light is taken for object, dark for background")
    return measured._replace(
        size=content.size,
        regions=content.regions,
        specks=content.specks,
        fault=fault,
        notes=(note,) if pixels.lossy else (),
    )


class _DecodedMask(NamedTuple):
    kind: str
    values: MaskPixels
    palette: Mapping[int, int]
    lossy: bool
    has_numbers: bool


def _decode_file(path: Path, lock: ExitStack) -> _DecodedMask:
    """Decode a mask image; a large one waits for the others."""
    with Image.open(path, formats=MASK_FORMATS) as image:
        if image.width * image.height > MAX_MASK_PIXELS:
            raise ValueError(f"more than {MAX_MASK_PIXELS:,} pixels")
        if image.width * image.height > LARGE_MASK_PIXELS:
            lock.enter_context(LARGE_MASK_LOCK)
        image.load()
        kind, values = decode_pixels(image)
        palette = read_palette(image)
        is_numbered = image.mode == "1" or (
            image.mode == "P" and any(gray % 0x010101 for gray in palette.values())
        )
        return _DecodedMask(kind, values, palette, image.format == "JPEG", is_numbered)


def _measure(pixels: _DecodedMask) -> GrayLevels | None:
    """Count the gray levels of a mask, if its values may be brightness; a palette holds numbers."""
    if pixels.lossy:
        return measure_gray_levels(get_brightness(pixels.values, pixels.kind), lossy=True)
    if pixels.kind == "color" or pixels.has_numbers or pixels.values.dtype != np.uint8:
        return None
    return measure_gray_levels(pixels.values)


def _separate_light(pixels: _DecodedMask, threshold: int | None) -> tuple[str, MaskPixels]:
    """Separate light from dark pixels, if the masks are read so."""
    if threshold is None and not pixels.lossy:
        return pixels.kind, pixels.values
    light = get_brightness(pixels.values, pixels.kind) > (WHITE // 2 if threshold is None else threshold)
    return "number", np.where(light, np.uint8(WHITE), np.uint8(0))


def _find_lossy_colors(colors: MaskPixels) -> frozenset[int]:
    """Find the colors of the light areas in a JPEG, whose edges are blurred.

    Each color is scaled to full brightness, and its channels are rounded to a multiple of 64.
    """
    light = np.maximum(get_brightness(colors, "color"), 1).astype(np.uint32)
    rounded = np.zeros(colors.shape, np.uint32)
    for shift in (16, 8, 0):
        rounded = rounded * 8 + ((colors >> shift & 255) * 255 // light + 32) // 64
    areas = find_flat_blocks(rounded) & (light[1:, 1:] > WHITE // 4)
    found, counts = np.unique(rounded[1:, 1:][areas], return_counts=True)
    return frozenset(found[counts >= _MIN_LOSSY_SHARE * counts.sum()].tolist())


def decode_object_mask(data: bytes) -> NDArray[np.uint8]:
    """Decode the mask of one object: 1 for object, 0 for background.

    Raises:
        ValueError: The data is not an image, or has too many pixels.
    """
    try:
        with Image.open(io.BytesIO(data), formats=MASK_FORMATS) as image:
            if image.width * image.height > MAX_MASK_PIXELS:
                raise ValueError(f"more than {MAX_MASK_PIXELS:,} pixels")
            return (decode_pixels(image)[1] > 0).astype(np.uint8)
    except Exception as error:  # decoders raise any type: OSError, SyntaxError, struct.error, ...
        raise ValueError(f"a mask that is no image ({_explain_error(error)})") from None


def _explain_error(error: Exception) -> str:
    """Shorten an error; Pillow's text for an unknown format holds a memory address or an absolute path."""
    return "unknown format" if isinstance(error, UnidentifiedImageError) else str(error)[:80]


def _find_regions(kind: str, values: MaskPixels, background: int) -> MaskContent:
    """Find the connected regions of each value but the background."""
    present = _list_values(values)
    if len(present) > _MAX_VALUES:
        return MaskContent(fault=f"{len(present)} values, more than there are classes")
    regions: list[tuple[MaskValue, Shape]] = []
    specks: dict[MaskValue, int] = {}
    for value in present[present != background].tolist():
        shapes, too_small = _outline_regions((values == value).view(np.uint8))
        regions += [((kind, value), shape) for shape in shapes]
        specks |= {(kind, value): too_small} if too_small else {}
    if len(regions) > _MAX_REGIONS:
        return MaskContent(fault=f"{len(regions)} or more separate regions, which are no objects")
    return MaskContent((values.shape[1], values.shape[0]), tuple(regions), specks=specks)


def _list_values(values: MaskPixels) -> NDArray[Any]:
    """List the values of a mask; counting bytes is faster than sorting them."""
    if values.dtype == np.uint8 and values.size:
        return np.flatnonzero(count_values(values)).astype(np.uint8)
    return np.unique(values)


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
