"""Take the class of black and white masks from their folder, where each class has a folder of pairs."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from itertools import takewhile
from pathlib import Path
from typing import Final

from pipeline.source.formats.masks.mask_names import list_place_words
from pipeline.source.formats.masks.values import MaskValue
from pipeline.source.reading.image_index import normalize_name
from pipeline.source.types import find_split_in_name

_MAX_CLASSES: Final = 200
_MIN_IMAGES: Final = 2
"""Images per folder on average: fewer are a folder per image."""
_MIN_MASKS: Final = 1.1
"""Masks per image on average, if they have a folder per class."""
_CLASS_WORD: Final = re.compile(r"^(class|defect|type|category|kind|label)[_\W]?\d+$")


def find_folder_classes(
    pairs: Mapping[Path, Path | None], values: Collection[MaskValue], folder: Path
) -> dict[Path, str]:
    """Return the class of each mask: the outermost folder that differs, and is neither a split nor `masks`.

    The folders are those of the image; if these do not differ, those of the masks, of which each image has
    several.

    Returns:
        Empty if the masks have more than one value, or if their folders are no classes: folders per patient
        or per place are numbered.
    """
    if len(values) != 1:
        return {}
    paired = {mask: image for mask, image in pairs.items() if image}
    images = set(paired.values())
    by_image = _name_by_folder({mask: image.parent for mask, image in paired.items()}, folder)
    if by_image or len(paired) < _MIN_MASKS * len(images):
        return by_image if len(images) >= _MIN_IMAGES * len({*by_image.values()}) else {}
    by_mask = _name_by_folder({mask: mask.parent for mask in paired}, folder)
    is_once = len({(image, by_mask.get(mask)) for mask, image in paired.items()}) == len(paired)
    return by_mask if is_once and len(images) >= _MIN_IMAGES else {}


def _name_by_folder(places: Mapping[Path, Path], folder: Path) -> dict[Path, str]:
    """Return the class of each mask by the first folder that is not the same for all; empty without one."""
    parts = {place: _list_class_parts(place.relative_to(folder)) for place in {*places.values()}}
    common = _count_common_words([*parts.values()])
    if any(len(words) <= common for words in parts.values()):
        return {}
    names = {words[common] for words in parts.values()}
    if not 2 <= len(names) <= _MAX_CLASSES or not _are_class_names(names):
        return {}
    return {mask: parts[place][common] for mask, place in places.items()}


def _count_common_words(parts: Sequence[Sequence[str]]) -> int:
    same = (len(set(words)) == 1 for words in zip(*parts, strict=False))
    return sum(1 for _ in takewhile(bool, same))


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
