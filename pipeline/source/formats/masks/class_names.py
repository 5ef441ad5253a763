"""Choose class names for mask values: from a file of colors, a file of names, or their numbers."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Final, NamedTuple

from pipeline.source.formats.masks.values import MaskValue
from pipeline.source.reading.class_lists import BACKGROUND_NAMES, find_class_names
from pipeline.source.reading.file_tree import list_files
from pipeline.source.reading.parsing import UnreadableFileError, load_text

_VOID_NUMBER: Final = 255
"""The class number of pixels without a class, such as the borders in VOC."""
_COLOR_FILES: Final = {"labelmap.txt", "label_colors.txt", "class_dict.csv", "labelmap.csv", "_classes.csv"}
_RGB: Final = re.compile(r"(\d{1,3})\s*[,;\s]\s*(\d{1,3})\s*[,;\s]\s*(\d{1,3})")


class MaskClassNames(NamedTuple):
    """Class names by mask value, None for a value without a class; and remarks about them."""

    by_value: Mapping[MaskValue, str | None]
    remarks: tuple[str, ...]


def choose_class_names(
    folder: Path, values: Collection[MaskValue], palette: Mapping[int, int]
) -> MaskClassNames:
    """Choose a class name for each value in the masks of a source.

    Args:
        folder: The source, which may hold labelmap.txt, class_dict.csv or classes.txt.
        values: All values but the background, which is 0 or black.
        palette: The colors of the numbers, as 0xrrggbb, if the masks have a palette.
    """
    texts = list_files(folder, ".txt", ".csv", ".names")
    colors = next(
        (found for path in texts if path.name.lower() in _COLOR_FILES and (found := _read_colors(path))), {}
    )
    numbers = find_class_names(texts, start=1)
    is_binary = set(values) == {("number", _VOID_NUMBER)}
    by_value: dict[MaskValue, str | None] = {}
    remarks = []
    for kind, value in sorted(values):
        if kind == "color":
            name = colors.get(value) or f"colour_{value:06x}"
        else:
            number = 1 if is_binary else value
            usual = "void" if number == _VOID_NUMBER else f"class_{number}"
            name = colors.get(palette.get(value, -1)) or numbers.get(number) or usual
        by_value[kind, value] = None if name.lower() in BACKGROUND_NAMES else name
        if name.lower() in BACKGROUND_NAMES:
            remarks.append(f"pixels of {format_mask_value((kind, value))} belong to no class ({name})")
    if not colors and not numbers:
        remarks.append(
            "no labelmap.txt, class_dict.csv or classes.txt names the classes: they go by their values"
        )
    return MaskClassNames(by_value, tuple(remarks))


def format_mask_value(value: MaskValue) -> str:
    """Format a mask value for a remark."""
    return f"number {value[1]}" if value[0] == "number" else f"colour #{value[1]:06x}"


def _read_colors(path: Path) -> dict[int, str]:
    """Read class names by color, 0xrrggbb: a line is `name:r,g,b:...`, `name,r,g,b` or `r g b name`."""
    names = {}
    try:
        lines = load_text(path)[0].splitlines()
    except UnreadableFileError:
        return {}
    for line in lines:
        triple = _RGB.search(line)
        name = line.replace(triple[0], " ").strip(" \t:,;\"'") if triple else ""
        if triple and name and not line.startswith("#"):
            red, green, blue = (int(triple[part]) & 255 for part in (1, 2, 3))
            names[red << 16 | green << 8 | blue] = name
    return names
