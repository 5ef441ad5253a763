"""Read class names from text files, for annotations that give classes as numbers."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Final

from pipeline.core.errors import UserError
from pipeline.core.text import format_count
from pipeline.source.reading.parsing import UnreadableFileError, load_text

CLASS_LIST_FILES: Final = {
    *("classes.txt", "names.txt", "labels.txt", "label_names.txt", "obj.names", "_classes.csv"),
    "class_names.txt",
}
"""Names of files that list class names, in lower case."""
BACKGROUND_NAMES: Final = {
    *("background", "_background_", "void", "ignore", "__ignore__", "unlabeled", "unlabelled"),
}
"""Names that stand for background: no class."""
FIRST_BACKGROUND_NAMES: Final = BACKGROUND_NAMES | {
    *("none", "other", "others", "bg", "back", "nothing", "no class", "unknown"),
}
"""Names of number 0 and of black in masks that stand for background."""

_ROBOFLOW_HEADER: Final = "pixel value"
"""First column of the table of class names that Roboflow exports with masks."""
_MIN_UNNAMED: Final = 3
_MAX_UNNAMED_SHARE: Final = 0.2
"""If more objects have a class number without a name, the numbers or the names are of another dataset."""
_NUMBERED_NAME: Final = re.compile(r"^(\d{1,6})\s*[-:,.=\s]\s*(\S.*)$")


def find_class_names(texts: Iterable[Path], *, start: int = 0, keep_blanks: bool = False) -> dict[int, str]:
    """Read the first file of class names: `1 open` or `1: open`, or one name per line.

    Args:
        texts: Text files; those without class names are skipped.
        start: Number of the first name in a list without numbers; with 1 it is 0 if it means background.
        keep_blanks: Return the names as they are spelled; else without blanks around them.

    Returns:
        Names by class number; empty if no file has any.
    """
    lists = (_read_class_list(path, start) for path in texts if path.name.lower() in CLASS_LIST_FILES)
    names = next(lists, {})
    return names if keep_blanks else {number: name.strip() for number, name in names.items()}


def is_comment(line: str) -> bool:
    """Check for a comment in a list of class names: a hash and a blank."""
    return line.startswith(("# ", "#\t"))


def _read_class_list(path: Path, start: int) -> dict[int, str]:
    try:
        lines = [line for line in load_text(path)[0].splitlines() if line.strip() and not is_comment(line)]
    except UnreadableFileError:
        return {}
    if lines and path.suffix.lower() == ".csv":  # with another header it is a table of images, not of names
        lines = lines[1:] if lines[0].strip().lower().startswith(_ROBOFLOW_HEADER) else []
    if [line.strip().lower() for line in lines[:2]] == [
        "__ignore__",
        "_background_",
    ]:  # LabelMe counts from -1
        lines = lines[1:]
    numbered = [_NUMBERED_NAME.match(line.lstrip()) for line in lines]
    if all(numbered):
        return {int(found[1]): found[2] for found in numbered if found}
    return dict(enumerate(lines, 0 if lines[0].strip().lower() in FIRST_BACKGROUND_NAMES else start))


def check_distinct_names(names: Iterable[str], place: Path | str, *, ignore_blanks: bool = False) -> None:
    """Refuse two classes with the same name.

    Args:
        names: The name of each class as it is spelled.
        place: The file, folder or setting that names them.
        ignore_blanks: Names that differ in blanks alone are the same.

    Raises:
        UserError: There are such names.
    """
    spelled = list(names)
    keys = [" ".join(name.split()) if ignore_blanks else name for name in spelled]
    twice = next((key for key, number in Counter(keys).items() if number > 1), None)
    if twice is None:
        return
    same = (repr(name) for name, key in zip(spelled, keys, strict=True) if key == twice)
    called = " and ".join(dict.fromkeys(same))
    raise UserError(f"two classes of {place} are called {called}: give each class its own name")


def count_from_first(names: Mapping[int, str], first: str | int) -> dict[int, str]:
    """Return class names by number, with the first one as number 1 if data.first_class says so."""
    if str(first) != "1" or not names or min(names) > 0:
        return dict(names)
    return {number + 1: name for number, name in names.items()}


def check_named_numbers(
    used: Mapping[int, int], names: Collection[int], first: str | int, place: Path
) -> None:
    """Refuse class numbers that a list of names does not name: if they are many, or counted from 1.

    Args:
        used: How many objects have each class number.
        names: The numbers that have a name; empty if there is no list.
        first: As in data.first_class; unless it is auto, the user has decided.
        place: The file or folder that names the classes.

    Raises:
        UserError: There are such numbers.
    """
    unknown = sum(count for number, count in used.items() if number not in names)
    if first != "auto" or not names or not unknown:
        return
    named = format_count(len(names), "class has a name", "classes have a name")
    what = f"{unknown:,} of {format_count(sum(used.values()), 'object')} have a class number without a name"
    if min(used) == 1 and max(used) == len(names) == max(names) + 1:
        raise UserError(
            f"the class numbers in {place} are 1 to {max(used)}, {named}, and no object has class 0: if they "
            "are counted from 1, set data.first_class=1; if not, set data.first_class=0"
        )
    if unknown >= _MIN_UNNAMED and unknown > _MAX_UNNAMED_SHARE * sum(used.values()):
        raise UserError(
            f"{what} in {place} ({named}, {min(names)} to {max(names)}), such as class "
            f"{min(number for number in used if number not in names)}: add the names, or set "
            "data.first_class=0 to call these classes by their numbers"
        )
