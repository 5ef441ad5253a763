"""What the values of masks are called: by a file of colours, a file of names, or their numbers."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Final, NamedTuple

from pipeline.source.formats.masks.values import MaskValue
from pipeline.source.reading import class_lists
from pipeline.source.reading.class_lists import NO_CLASS
from pipeline.source.reading.parsing import UnreadableFileError, files, load_text

_VOID: Final = 255
"""Among class numbers: pixels of no class, such as the borders in VOC."""
_COLOURS: Final = {"labelmap.txt", "label_colors.txt", "class_dict.csv", "labelmap.csv", "_classes.csv"}
_TRIPLE: Final = re.compile(r"(\d{1,3})\s*[,;\s]\s*(\d{1,3})\s*[,;\s]\s*(\d{1,3})")


class MaskClassNames(NamedTuple):
    """Class names by value, in their order, None for a value of no class; and what to tell of them."""

    of: Mapping[MaskValue, str | None]
    remarks: tuple[str, ...]


def choose(folder: Path, values: Collection[MaskValue], palette: Mapping[int, int]) -> MaskClassNames:
    """Name the values of all masks of a source.

    Args:
        folder: The source, which may hold labelmap.txt, class_dict.csv or classes.txt.
        values: All but the background, which is 0 or black.
        palette: The colours of the numbers, where masks have them.
    """
    texts = files(folder, ".txt", ".csv", ".names")
    colours = next(
        (found for path in texts if path.name.lower() in _COLOURS and (found := _colours(path))), {}
    )
    numbers = class_lists.find(texts, start=1)
    black_and_white = set(values) == {("number", _VOID)}
    named: dict[MaskValue, str | None] = {}
    remarks = []
    for kind, value in sorted(values):
        if kind == "colour":
            name = colours.get(value) or f"colour_{value:06x}"
        else:
            number = 1 if black_and_white else value
            usual = "void" if number == _VOID else f"class_{number}"
            name = colours.get(palette.get(value, -1)) or numbers.get(number) or usual
        named[kind, value] = None if name.lower() in NO_CLASS else name
        if name.lower() in NO_CLASS:
            remarks.append(f"pixels of {told((kind, value))} belong to no class ({name})")
    if not colours and not numbers:
        remarks.append(
            "no labelmap.txt, class_dict.csv or classes.txt names the classes: they go by their values"
        )
    return MaskClassNames(named, tuple(remarks))


def told(value: MaskValue) -> str:
    """Write a value for a person."""
    return f"number {value[1]}" if value[0] == "number" else f"colour #{value[1]:06x}"


def _colours(path: Path) -> dict[int, str]:
    """Read `name:r,g,b:...`, `name,r,g,b` or `r g b name`, a class per line."""
    found = {}
    try:
        lines = load_text(path)[0].splitlines()
    except UnreadableFileError:
        return {}
    for line in lines:
        triple = _TRIPLE.search(line)
        name = line.replace(triple[0], " ").strip(" \t:,;\"'") if triple else ""
        if triple and name and not line.startswith("#"):
            red, green, blue = (int(triple[part]) & 255 for part in (1, 2, 3))
            found[red << 16 | green << 8 | blue] = name
    return found
