"""Group masks by their kinds, and find the kinds that an image has several of.

A kind is what the folder and the name of a mask have beside those of its image: `1st_manual` and `mask`, or
`_mask` and `_edge`.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import combinations
from pathlib import Path
from typing import Final, NamedTuple

from pipeline.source.formats.masks.mask_names import find_folder_evidence, find_mask_ending
from pipeline.source.reading.image_index import normalize_name

_MIN_SHARED: Final = 0.5
"""Share of the images of a kind that another kind has masks of, if the kinds compete."""
_MIN_IMAGES: Final = 2
_MAX_KINDS: Final = 12
"""Kinds per image that are compared."""
_WORD: Final = re.compile(r"[^_\-. ()]+")
_ORDINAL: Final = re.compile(
    r"\b([1-9])(?:st|nd|rd|th)|\b(?:manual|observer|annotator|expert|rater|reader|grader) ?([1-9])\b"
)
"""The number of somebody who annotated: 1st_manual, manual1, observer2."""


class MaskKind(NamedTuple):
    """Masks of one kind.

    Attributes:
        place: The words of their folders that the paths of their images do not have.
        ending: The words of their names that the names of their images do not have.
        files: The masks.
        masks: One of them for each image.
        is_chosen: They are masks by name, or by pixels if no names say so.
        is_view: They are nearly the same in every image, as the field of view of a camera.
    """

    place: tuple[str, ...]
    ending: tuple[str, ...]
    files: Sequence[Path]
    masks: Mapping[Path, Path]
    is_chosen: bool
    is_view: bool = False

    @property
    def is_named(self) -> bool:
        """Return whether a folder or a name speaks for masks or for annotations."""
        folder = Path("_".join(self.place))
        return bool(find_folder_evidence(folder) or find_mask_ending("_".join(self.ending)))


KindPair = tuple[MaskKind, MaskKind]


def group_kinds(pairs: Mapping[Path, Path | None], folder: Path, *, is_chosen: bool) -> list[MaskKind]:
    """Group masks by their kind; those with arbitrary names, as of single objects, are none."""
    groups: dict[tuple[tuple[str, ...], tuple[str, ...]], list[Path]] = defaultdict(list)
    for mask, image in pairs.items():
        if image and (ending := _find_ending(mask.stem, image.stem)) is not None:
            groups[_find_place(mask.parent, image.parent, folder), ending].append(mask)
    return [
        MaskKind(*key, files, {image: mask for mask in reversed(files) if (image := pairs[mask])}, is_chosen)
        for key, files in groups.items()
    ]


@lru_cache(maxsize=10_000)
def _find_place(mask: Path, image: Path, folder: Path) -> tuple[str, ...]:
    """Return the words of a mask's folders in the source that its image's folders lack."""
    known = {word for part in image.relative_to(folder).parts for word in _list_words(part)}
    words = [word for part in mask.relative_to(folder).parts for word in _list_words(part)]
    return tuple(word for word in words if word not in known)


def _find_ending(mask: str, image: str) -> tuple[str, ...] | None:
    """Return the words of a mask's name that its image's name lacks, without numbers; None if arbitrary."""
    if mask == image:
        return ()
    known = set(_list_words(image))
    words = tuple(word for word in _list_words(mask) if word not in known and not word.isdecimal())
    has_number = any(any(map(str.isdecimal, word)) and not _ORDINAL.search(word) for word in words)
    return None if has_number else words


def _list_words(name: str) -> list[str]:
    return _WORD.findall(normalize_name(name))


def find_rivals(kinds: Sequence[MaskKind]) -> list[KindPair]:
    """Find the pairs of kinds that have masks of the same images."""
    if len(kinds) < 2:
        return []
    by_image: dict[Path, list[int]] = defaultdict(list)
    for number, kind in enumerate(kinds):
        for image in kind.masks:
            by_image[image].append(number)
    shared = Counter(pair for found in by_image.values() for pair in combinations(found[:_MAX_KINDS], 2))
    pairs = [(kinds[one], kinds[other], count) for (one, other), count in shared.items()]
    return [(one, other) for one, other, count in pairs if _are_rivals(one, other, count)]


def _are_rivals(one: MaskKind, other: MaskKind, shared: int) -> bool:
    fewest = min(len(one.masks), len(other.masks))
    return shared >= _MIN_SHARED * fewest and (
        fewest >= _MIN_IMAGES or all(map(_is_named_after_image, (one, other)))
    )


def _is_named_after_image(kind: MaskKind) -> bool:
    return all(
        normalize_name(mask.stem).startswith(normalize_name(image.stem)) for image, mask in kind.masks.items()
    )


def split_ordinal(kind: MaskKind) -> tuple[str, int]:
    """Return the name of a kind without the number of who annotated, and this number; 0 if there is none."""
    name = " ".join((*kind.place, "/", *kind.ending))
    numbers = {int(one or other) for one, other in _ORDINAL.findall(name)}
    anonymous = _ORDINAL.sub(lambda match: re.sub("[1-9]", "", match[0]), name)
    return re.sub(r"\b(st|nd|rd|th)", "", anonymous), numbers.pop() if len(numbers) == 1 else 0
