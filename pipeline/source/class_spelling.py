"""Notice class names that differ in case, blanks, hyphens or an ending of copies alone."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path
from typing import Final

from pipeline.core.text import format_count
from pipeline.source.reading.class_lists import CLASS_LIST_FILES
from pipeline.source.reading.file_tree import list_folder_files
from pipeline.source.types import Source

_MARKS: Final = re.compile(r"[\s_\-]+")
_ENDING: Final = re.compile(
    r"[\s_\-]+(?:augmented|augmentation|aug|copy|backup|resized|cropped|flipped|rotated)$"
)
"""What copies of the images of a class are called."""
_MAX_SHOWN: Final = 5


def describe_numeric_names(source: Source, folder: Path) -> list[str]:
    """Tell of classes that are called by numbers, beside a list of names that the format does not use."""
    if not source.names or not all(name.isdecimal() for name in source.names):
        return []
    files = list_folder_files(folder, ".txt", ".names", ".pbtxt")
    lists = [path.name for path in files if path.name.lower() in CLASS_LIST_FILES or path.suffix == ".pbtxt"]
    if not lists:
        return []
    return [
        f"the classes are numbers, and {lists[0]} is not used for them: data.classes.rename gives them names"
    ]


def describe_similar_names(source: Source) -> list[str]:
    """Tell of classes with objects whose names hardly differ, as `dent` and `Dent_aug`: they stay apart."""
    alike: dict[str, list[int]] = defaultdict(list)
    for number, name in enumerate(source.names):
        alike[_MARKS.sub("", _ENDING.sub("", name.casefold()))].append(number)
    similar = [numbers for key, numbers in alike.items() if key and len(numbers) > 1]
    if not similar:
        return []
    used = {cls for image in source.images for cls in set(image.raw.classes.tolist())}
    kept = [[source.names[cls] for cls in numbers if cls in used] for numbers in similar]
    groups = [" and ".join(map(repr, names)) for names in kept if len(names) > 1]
    if not groups:
        return []
    more = f" and {len(groups) - _MAX_SHOWN} more" if len(groups) > _MAX_SHOWN else ""
    classes = format_count(sum(len(names) for names in kept if len(names) > 1), "class")
    return [
        f"{classes} differ in case, blanks, hyphens or an ending like _aug alone: "
        f"{'; '.join(groups[:_MAX_SHOWN])}{more} (data.classes.rename joins them)"
    ]
