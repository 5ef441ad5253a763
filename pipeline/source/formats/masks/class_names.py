"""Choose class names for mask values: from a file of colors, a file of names, or their numbers."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from pipeline.core.errors import UserError
from pipeline.source.color_tables import read_color_names
from pipeline.source.formats.masks.official_classes import find_official_classes
from pipeline.source.formats.masks.values import MaskContent, MaskValue
from pipeline.source.plausibility.object_numbers import infer_number_meaning
from pipeline.source.reading.class_lists import (
    BACKGROUND_NAMES,
    CLASS_LIST_FILES,
    FIRST_BACKGROUND_NAMES,
    find_class_names,
)
from pipeline.source.reading.file_tree import format_relative_path, list_files
from pipeline.source.reading.parsing import UnreadableFileError, format_file_name, load_text

_VOID_NUMBER: Final = 255
"""The class number of pixels without a class, such as the borders in VOC."""
_COLOR_FILES: Final = {"labelmap.txt", "label_colors.txt", "class_dict.csv", "labelmap.csv", "_classes.csv"}
_ADE_FILE: Final = "objectinfo150.txt"
_MAYBE_CLASSES: Final = ("other", "others", "unknown")
"""Of the first names that mean background, those that may be a class, too."""


class ClassTable(NamedTuple):
    """Class names as the files of a source give them.

    Attributes:
        colors: Names by color, 0xrrggbb.
        numbers: Names by number.
        dataset: The public dataset that the names are from, if they are in no file.
        remark: What was assumed, if the content of the masks speaks for this dataset.
        background: The number that means background, -1 if none does.
        unnumbered: The file of names without numbers, if the first of them may be number 1.
    """

    colors: Mapping[int, str] = {}
    numbers: Mapping[int, str] = {}
    dataset: str = ""
    remark: str = ""
    background: int = 0
    unnumbered: str = ""

    @property
    def is_empty(self) -> bool:
        """Return whether nothing names the classes."""
        return not self.colors and not self.numbers

    @property
    def needs_class(self) -> bool:
        """Return whether a mask without any class is not labeled, as the test split of Cityscapes."""
        return bool(self.dataset) and not self.remark

    def covers(self, values: Collection[MaskValue]) -> bool:
        """Check that a dataset which was recognized by a few masks has all numbers of the others."""
        return not self.remark or all(kind == "number" and value in self.numbers for kind, value in values)

    @property
    def backgrounds(self) -> dict[str, int]:
        """Return the number and the color that mean background; -1 if none does."""
        return {"number": self.background, "color": -1 if _is_class(self.colors.get(0)) else 0}


class MaskClassNames(NamedTuple):
    """Class names by mask value, None for a value without a class; and remarks about them."""

    by_value: Mapping[MaskValue, str | None]
    remarks: tuple[str, ...]


def load_class_table(folder: Path, masks: Collection[Path]) -> ClassTable:
    """Read the class names of a source: labelmap.txt, class_dict.csv, classes.txt, or known ones.

    Raises:
        UserError: Several files give the numbers different names, or a table of colors is not clear.
    """
    texts = list_files(folder, ".txt", ".csv", ".names")
    colors = next(
        (found for path in texts if path.name.lower() in _COLOR_FILES and (found := read_color_names(path))),
        {},
    )
    numbers, file = _read_numbers(texts, folder)
    if not colors and not numbers and (official := find_official_classes(masks, folder)):
        return ClassTable(
            numbers=official.names,
            dataset=official.dataset,
            remark=official.remark,
            background=official.background,
        )
    background = -1 if _is_class(numbers.get(0)) else 0
    return ClassTable(colors, numbers, background=background, unnumbered=file)


def choose_class_names(
    table: ClassTable, values: Collection[MaskValue], palette: Mapping[int, int]
) -> MaskClassNames:
    """Choose a class name for each value in the masks of a source.

    Args:
        table: The names in the files of the source.
        values: All values but the background.
        palette: The colors of the numbers, as 0xrrggbb, if the masks have a palette.
    """
    table = _count_from_one(table, values)
    is_binary = set(values) == {("number", _VOID_NUMBER)}
    is_void = not _are_spaced_evenly([value for kind, value in values if kind == "number"])
    used_colors = {value for kind, value in values if kind == "color"}
    named: dict[MaskValue, str] = {}
    for kind, value in sorted(values):
        if kind == "color":
            name = table.colors.get(value) or f"colour_{value:06x}"
        else:
            number = 1 if is_binary else value
            usual = "void" if number == _VOID_NUMBER and is_void else f"class_{number}"
            color = palette.get(value, -1)
            usual = f"colour_{color:06x}" if color in used_colors else usual  # other masks hold the colors
            name = table.colors.get(color) or table.numbers.get(number) or usual
        named[kind, value] = name
    ignored = {value: name for value, name in named.items() if name.lower() in BACKGROUND_NAMES}
    by_value = {value: None if value in ignored else name for value, name in named.items()}
    return MaskClassNames(by_value, tuple(_describe_names(table, ignored, count=len(named))))


def _count_from_one(table: ClassTable, values: Collection[MaskValue]) -> ClassTable:
    """Let a list that begins with a word such as other start at 1, if masks hold as many numbers as names."""
    names = table.numbers
    if not table.unnumbered or 0 not in names or (len(names) > 1 and ("number", len(names)) not in values):
        return table
    return table._replace(numbers={number + 1: name for number, name in names.items()})


def check_white(masks: Mapping[Path, MaskContent]) -> None:
    """Check that 255 means the same everywhere: beside class numbers it is void, alone it is the object.

    Raises:
        UserError: It is alone in most of the masks that have it, and others hold class numbers.
    """
    white: MaskValue = ("number", _VOID_NUMBER)
    alone = [path for path, mask in masks.items() if not mask.palette and mask.values == {white}]
    beside = sum(white in mask.values for mask in masks.values()) - len(alone)
    numbered = [
        path for path, mask in masks.items() if any(kind == "number" for kind, _ in mask.values - {white})
    ]
    if alone and numbered and len(alone) > beside:
        raise UserError(
            f"masks such as {format_file_name(alone[0])} are black and white, others such as "
            f"{format_file_name(numbered[0])} hold class numbers: {alone[0].parent.name}/ and "
            f"{numbered[0].parent.name}/ may belong to different datasets"
        )


def check_object_numbers(
    names: MaskClassNames, masks: Mapping[Path, MaskContent], folder: Path
) -> MaskClassNames:
    """Name all values alike, if they count the objects of each mask; say so if they may.

    Raises:
        UserError: Nearly every value is in one mask alone, as numbers of objects are.
    """
    counts = [_count_regions(mask) for mask in masks.values()]
    meaning = infer_number_meaning(counts)
    if meaning == "single":
        raise UserError(
            f"the masks in {folder} have {len(names.by_value)} values, nearly each in one mask alone: they "
            "look like numbers of objects, not of classes; add a classes.txt that names the numbers, or save "
            "each mask with the number of its class"
        )
    if meaning == "unclear":
        remark = (
            "the numbers in each mask begin at 1, and each is one region: if they count objects, add a "
            "classes.txt that gives all numbers the same name"
        )
        return names._replace(remarks=(*names.remarks, remark))
    if meaning == "objects":
        remark = (
            "the numbers in each mask run from 1 to the number of its objects: each is read as an object of "
            "one class (a classes.txt that names the numbers decides)"
        )
        return MaskClassNames(dict.fromkeys(names.by_value, "object"), (remark,))
    return names


def _count_regions(mask: MaskContent) -> Counter[int]:
    """Count the regions of each value."""
    regions = Counter(value for (_, value), _ in mask.regions)
    return regions + Counter({value: 1 for _, value in mask.values if value not in regions})


def format_mask_value(value: MaskValue) -> str:
    """Format a mask value for a remark."""
    return f"number {value[1]}" if value[0] == "number" else f"colour #{value[1]:06x}"


def _describe_names(table: ClassTable, ignored: Mapping[MaskValue, str], *, count: int) -> Iterator[str]:
    """Say which values have no class, and where the names are from."""
    if table.remark:
        yield table.remark
        return
    if table.dataset:
        numbers = ", ".join(str(number) for _, number in sorted(ignored))
        yield f"classes of {table.dataset}" + (
            f"; ignored as in its evaluation: {numbers}" if numbers else ""
        )
        return
    for value, name in ignored.items():
        yield f"pixels of {format_mask_value(value)} belong to no class ({name})"
    if table.unnumbered and 0 not in table.numbers and count > 1:
        first = table.numbers[min(table.numbers)]
        yield f"{table.unnumbered} does not name the background: its first name, {first}, is number 1"
    if not table.colors and not table.numbers:
        yield "no labelmap.txt, class_dict.csv or classes.txt names the classes: they go by their values"


def _are_spaced_evenly(numbers: Sequence[int]) -> bool:
    """Check for brightness as class, such as 85, 170, 255: there 255 is a class like the others."""
    count = len(numbers)
    return count > 1 and all(
        abs(number - _VOID_NUMBER * place / count) <= 1 for place, number in enumerate(sorted(numbers), 1)
    )


def _is_class(name: str | None) -> bool:
    return name is not None and name.lower() not in FIRST_BACKGROUND_NAMES


def _read_numbers(texts: Sequence[Path], folder: Path) -> tuple[dict[int, str], str]:
    """Read the names by number, and the name of their file if it holds names without numbers.

    Raises:
        UserError: Several files differ.
    """
    ade = next((path for path in texts if path.name.lower() == _ADE_FILE), None)
    if ade and (names := _read_ade_names(ade)):
        return names, ""
    found: dict[Path, dict[int, str]] = {}
    for path in texts:
        if path.name.lower() in CLASS_LIST_FILES and (names := find_class_names([path], start=1)):
            found[path] = names
    if not found:
        return {}, ""
    (first, names), *others = found.items()
    for path, different in others:
        if any(names.get(number, name) != name for number, name in different.items()):
            raise UserError(
                f"{format_relative_path(first, folder)} and {format_relative_path(path, folder)} name the "
                "numbers differently: keep the one that the masks were made with"
            )
    return names, first.name if _is_plain_list(first, names) else ""


def _is_plain_list(path: Path, names: Mapping[int, str]) -> bool:
    """Check for a list of names without numbers that does not surely begin with the background."""
    may_begin_at_one = names[0].lower() in _MAYBE_CLASSES if 0 in names else 1 in names
    return may_begin_at_one and path.suffix.lower() != ".csv" and not _starts_with_number(path)


def _starts_with_number(path: Path) -> bool:
    try:
        return load_text(path)[0].lstrip()[:1].isdecimal()
    except UnreadableFileError:
        return False


def _read_ade_names(path: Path) -> dict[int, str]:
    """Read objectInfo150.txt of ADE20K: its tables give several names; the first is used."""
    try:
        rows = [line.split("\t") for line in load_text(path)[0].splitlines()]
    except UnreadableFileError:
        return {}
    return {
        int(row[0]): re.split(r"[,;]", row[-1])[0].strip()
        for row in rows
        if len(row) > 1 and row[0].strip().isdecimal() and row[-1].strip()
    }
