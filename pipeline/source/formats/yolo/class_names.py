"""Read all files that name the classes of a YOLO dataset, and choose between those that disagree."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from pipeline.config.source_paths import IMAGE_SUFFIXES
from pipeline.core.errors import UserError
from pipeline.source.reading.class_lists import is_comment
from pipeline.source.reading.file_tree import (
    format_relative_path,
    is_file,
    list_folder_files,
    list_subfolders,
)
from pipeline.source.reading.parsing import UnreadableFileError, load_json, read_lines

CLASS_FILES: Final = (
    *("notes.json", "classes.txt", "obj.names", "names.txt", "_darknet.labels", "_classes.txt"),
    *("class_names.txt", "predefined_classes.txt"),
)
"""Names of files that name classes, in lower case."""

_INNER_FOLDERS: Final = ("labels", "images", "Labels", "Images")
_MAX_FOLDERS: Final = 50
_TOOL_DEFAULT: Final = "predefined_classes.txt"
"""What labelImg offers at its start; it writes what it used to classes.txt."""
_NUMBERED_NAME: Final = re.compile(r"(\d{1,6})\s*[:=]\s*(\S.*)")
_MAX_SHOWN: Final = 8


class ClassList(NamedTuple):
    """The class names that one file states.

    Attributes:
        file: The file, relative to the source folder.
        names: Names by class number.
        order: Numbers in the order of the file.
        by_exporter: The tool that wrote the labels numbered the classes in this file.
    """

    file: str
    names: Mapping[int, str]
    order: tuple[int, ...]
    by_exporter: bool = False

    def count_from_one(self) -> ClassList:
        """Return the list with its first class as number 1, if that is number 0."""
        if self.by_exporter or min(self.names) > 0:
            return self
        names = {number + 1: name for number, name in self.names.items()}
        return self._replace(names=names, order=tuple(number + 1 for number in self.order))


class ClassNames(NamedTuple):
    """The classes of a dataset.

    Attributes:
        names: Class names by index.
        numbers: The number of each class in label files, rising.
        remarks: What the user should know about how they were chosen.
    """

    names: tuple[str, ...] = ()
    numbers: tuple[int, ...] = ()
    remarks: tuple[str, ...] = ()


def read_class_lists(folder: Path, label_folders: Collection[Path] = ()) -> list[ClassList]:
    """Read every file below a folder that names classes: at the top, in its subfolders, beside the labels.

    Raises:
        UserError: One is not UTF-8 text.
    """
    found = (
        _read_class_list(path, folder) for path in dict.fromkeys(_iterate_class_files(folder, label_folders))
    )
    return [one for one in found if one and one.names]


def choose_class_names(lists: Sequence[ClassList], used: Collection[int]) -> ClassNames:
    """Choose the class names, from lists that agree about the classes of objects.

    Label Studio numbers the classes in notes.json, and writes these numbers to the labels; its classes.txt
    has the same names in the order of the file, whatever their numbers are. labelImg writes the classes that
    it used to classes.txt, whatever predefined_classes.txt says.

    Args:
        lists: The lists, the most important first.
        used: The class numbers in label files.

    Raises:
        UserError: Two lists name a class differently.
    """
    kept, remarks = _drop_superseded(lists, used)
    for number, one in enumerate(kept):
        for other in kept[:number]:
            _check_agreement(other, one, used)
    merged: dict[int, str] = {}
    for one in reversed(kept):
        merged |= one.names
    remarks += _describe_lengths(kept)
    numbers = tuple(sorted(merged))
    return ClassNames(tuple(merged[number] for number in numbers), numbers, tuple(remarks))


def _iterate_class_files(folder: Path, label_folders: Collection[Path]) -> Iterator[Path]:
    for path in list_folder_files(folder, ".txt", ".names", ".labels", ".json"):
        if path.name.lower() in CLASS_FILES or path.suffix.lower() == ".names":
            yield path
    subfolders = list_subfolders(folder)[:_MAX_FOLDERS]
    places = [place for inner in subfolders for place in (inner, *(inner / name for name in _INNER_FOLDERS))]
    places += [place for place in label_folders if place.is_relative_to(folder) and place != folder]
    yield from (place / name for place in places for name in CLASS_FILES if is_file(place / name))


def _read_class_list(path: Path, folder: Path) -> ClassList | None:
    where = format_relative_path(path, folder)
    if path.suffix.lower() == ".json":
        return _read_notes(path, where)
    spelled = [line for line in read_lines(path) if line.strip() and not is_comment(line)]
    lines = [line.strip() for line in spelled]
    if any(Path(line).suffix.lower() in IMAGE_SUFFIXES for line in lines[:3]):
        return None  # a list of images
    numbered = [_NUMBERED_NAME.fullmatch(line) for line in lines]
    if lines and all(numbered):
        names = {int(found[1]): found[2] for found in numbered if found}
        return ClassList(where, names, tuple(names))
    shown = lines if len(set(lines)) == len(lines) else spelled  # names that are refused, as they are spelled
    return ClassList(where, dict(enumerate(shown)), tuple(range(len(lines))))


def _read_notes(path: Path, where: str) -> ClassList | None:
    """Read notes.json of Label Studio; None if it is another JSON file.

    Raises:
        UserError: Two classes have one number.
    """
    try:
        data = load_json(path)
    except UnreadableFileError:
        return None
    rows = data.get("categories") if isinstance(data, dict) and "annotations" not in data else None
    pairs = [pair for row in rows if (pair := _parse_category(row))] if isinstance(rows, list) else []
    names = dict(pairs)
    if len(names) < len(pairs):
        listed = ", ".join(f"{number} {name}" for number, name in pairs[:_MAX_SHOWN])
        raise UserError(f"{path} gives two classes the same number ({listed}): give each its own number")
    return ClassList(where, names, tuple(names), by_exporter=True) if names else None


def _parse_category(row: Any) -> tuple[int, str] | None:
    number, name = (row.get("id"), row.get("name")) if isinstance(row, dict) else (None, None)
    digits = str(number).strip() if isinstance(number, int | str) else ""
    is_number = digits.isascii() and digits.isdecimal() and len(digits) < 7
    return (int(digits), name) if is_number and isinstance(name, str) and name else None


def _drop_superseded(lists: Sequence[ClassList], used: Collection[int]) -> tuple[list[ClassList], list[str]]:
    """Drop lists that another one makes void: classes.txt beside notes.json, the defaults of labelImg."""
    exported = next((one for one in lists if one.by_exporter), None)
    kept, remarks = [], []
    for one in lists:
        is_default = Path(one.file).name.lower() == _TOOL_DEFAULT
        others = [other for other in lists if other is not one]
        is_copy = exported and one is not exported and _lists_names_of(exported, one)
        better = exported if is_copy else others[0] if is_default and others else None
        if not better:
            kept.append(one)
        elif _find_contradiction(better, one, used) is not None or set(better.names) != set(one.names):
            remarks.append(
                f"{one.file} ({_format_names(one)}) contradicts {better.file} ({_format_names(better)}): the "
                f"classes are numbered as in {better.file}, by which the labels were written"
            )
    return kept, remarks


def _lists_names_of(exported: ClassList, one: ClassList) -> bool:
    """Check for the classes.txt of Label Studio: the names of notes.json in the order of that file."""
    return [*one.names.values()] == [exported.names[number] for number in exported.order] and (
        Path(one.file).name.lower() == "classes.txt"
    )


def _check_agreement(one: ClassList, other: ClassList, used: Collection[int]) -> None:
    number = _find_contradiction(one, other, used)
    if number is not None:
        raise UserError(
            f"{one.file} and {other.file} name the classes differently: class {number} is "
            f"{one.names[number]!r} in the one and {other.names[number]!r} in the other "
            f"({_format_names(one)} against {_format_names(other)}): correct or remove one of them"
        )


def _find_contradiction(one: ClassList, other: ClassList, used: Collection[int]) -> int | None:
    """Return the first class of an object that two lists name differently."""
    common = [number for number in sorted({*one.names} & {*other.names}) if not used or number in used]
    differing = (n for n in common if _simplify(one.names[n]) != _simplify(other.names[n]))
    return next(differing, None)


def _simplify(name: str) -> str:
    """Return a name without differences that no class differs by: case, blanks, hyphens."""
    return re.sub(r"[\s_\-]+", "", name).casefold()


def _describe_lengths(kept: Sequence[ClassList]) -> list[str]:
    """Tell of a list that has fewer classes than another."""
    if len({len(one.names) for one in kept}) < 2:
        return []
    counts = " and ".join(f"{one.file} {len(one.names)}" for one in kept)
    return [f"the number of classes differs, {counts}: all of them are taken"]


def _format_names(one: ClassList) -> str:
    shown = ", ".join(f"{number} {one.names[number]}" for number in one.order[:_MAX_SHOWN])
    return f"{shown}, ..." if len(one.order) > _MAX_SHOWN else shown
