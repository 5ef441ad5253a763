"""Take the class of black and white masks from their folder, where each class has a folder of pairs."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Final

from pipeline.source.formats.masks.mask_names import list_place_words
from pipeline.source.formats.masks.values import MaskValue
from pipeline.source.reading.image_index import normalize_name
from pipeline.source.types import find_split_in_name

_MAX_CLASSES: Final = 200
_MIN_IMAGES: Final = 2
"""Images per folder on average: fewer are a folder per image."""
_CLASS_WORD: Final = re.compile(r"^(class|defect|type|category|kind|label)[_\W]?\d+$")


def find_folder_classes(
    pairs: Mapping[Path, Path | None], values: Collection[MaskValue], folder: Path
) -> dict[Path, str]:
    """Return the class of each mask: the outermost of its folders that is neither a split nor `masks`.

    Returns:
        Empty if the masks have more than one value, or if their folders are no classes: folders per patient
        or per place are numbered.
    """
    if len(values) != 1:
        return {}
    classes: dict[Path, str] = {}
    for mask, image in pairs.items():
        if image is None:
            continue
        words = _list_class_parts(image.parent.relative_to(folder))
        if not words:
            return {}
        classes[mask] = words[0]
    names = set(classes.values())
    images = len(set(pairs.values()) - {None})
    if not 2 <= len(names) <= _MAX_CLASSES or images < _MIN_IMAGES * len(names):
        return {}
    return classes if _are_class_names(names) else {}


def _list_class_parts(place: Path) -> list[str]:
    return [
        part
        for part in place.parts
        if any(not find_split_in_name(word) for word in list_place_words(Path(part)))
    ]


def _are_class_names(names: Collection[str]) -> bool:
    """Check that names differ in more than a number, as those of patients and places do not."""
    if all(_CLASS_WORD.match(normalize_name(name)) for name in names):
        return True
    return len({re.sub(r"[\d_\W]+", "", normalize_name(name)) for name in names}) == len(names)
