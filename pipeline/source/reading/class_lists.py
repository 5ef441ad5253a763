"""Text files that name classes which annotations give as numbers."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from pipeline.source.reading.parsing import UnreadableFileError, load_text

FILES: Final = {"classes.txt", "names.txt", "labels.txt", "label_names.txt", "obj.names", "_classes.csv"}
NO_CLASS: Final = {"background", "_background_", "void", "ignore", "__ignore__", "unlabeled", "unlabelled"}
"""Names for what belongs to no class."""

_HEADER: Final = "pixel value"
"""Of the table of names that Roboflow exports beside masks."""
_NAMED: Final = re.compile(r"^(\d{1,6})\s*[-:,.=\s]\s*(\S.*)$")


def find(texts: Iterable[Path], *, start: int = 0) -> dict[int, str]:
    """Read the first file that names classes: `1 open` or `1: open`, or a name per line.

    Args:
        texts: Text files, those of other things among them.
        start: Where names without numbers count from; from 0 where the first is one for the background.
    """
    return next((_read(path, start) for path in texts if path.name.lower() in FILES), {})


def _read(path: Path, start: int) -> dict[int, str]:
    try:
        lines = [line.strip() for line in load_text(path)[0].splitlines() if line.strip()]
    except UnreadableFileError:
        return {}
    if lines and path.suffix.lower() == ".csv":  # with another header it is a table of images
        lines = lines[1:] if lines[0].lower().startswith(_HEADER) else []
    numbered = [_NAMED.match(line) for line in lines]
    if all(numbered):
        return {int(found[1]): found[2].strip() for found in numbered if found}
    return dict(enumerate(lines, 0 if lines[0].lower() in NO_CLASS else start))
