"""Read class names from text files, for annotations that give classes as numbers."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

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

_ROBOFLOW_HEADER: Final = "pixel value"
"""First column of the table of class names that Roboflow exports with masks."""
_NUMBERED_NAME: Final = re.compile(r"^(\d{1,6})\s*[-:,.=\s]\s*(\S.*)$")


def find_class_names(texts: Iterable[Path], *, start: int = 0, keep_blanks: bool = False) -> dict[int, str]:
    """Read the first file of class names: `1 open` or `1: open`, or one name per line.

    Args:
        texts: Text files; those without class names are skipped.
        start: Number of the first name in a list without numbers; 0 if the first name means background.
        keep_blanks: Return the names as they are spelled; else without blanks around them.

    Returns:
        Names by class number; empty if no file has any.
    """
    lists = (_read_class_list(path, start) for path in texts if path.name.lower() in CLASS_LIST_FILES)
    names = next(lists, {})
    return names if keep_blanks else {number: name.strip() for number, name in names.items()}


def _read_class_list(path: Path, start: int) -> dict[int, str]:
    try:
        lines = [line for line in load_text(path)[0].splitlines() if line.strip()]
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
    return dict(enumerate(lines, 0 if lines[0].strip().lower() in BACKGROUND_NAMES else start))
