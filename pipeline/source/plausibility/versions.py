"""Notice annotation files that are copies, or two versions of the same annotations."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping
from itertools import combinations
from pathlib import Path
from typing import Final

from pipeline.core.errors import UserError
from pipeline.source.types import find_split_in_name

_MIN_COMMON_SHARE: Final = 0.3
"""Two files with so many objects in common, and others, describe the same images at different times."""


def find_copies(objects: Mapping[Path, Collection[Hashable]]) -> list[Path]:
    """Return the files that repeat the objects of an earlier file, unless they are of another split.

    Args:
        objects: The objects of each file: image, class and coordinates.

    Raises:
        UserError: Two files share many objects but not all, and neither holds those of the other.
    """
    found = {path: frozenset(rows) for path, rows in objects.items() if rows}
    copies: list[Path] = []
    for first, second in combinations(found, 2):
        common, either = found[first] & found[second], found[first] | found[second]
        if first in copies or second in copies or not common or _name_other_splits(first, second):
            continue
        if len(common) == len(either):
            copies.append(second)
        elif len(common) >= _MIN_COMMON_SHARE * len(either) and common not in {found[first], found[second]}:
            raise UserError(
                f"{first} and {second} share {len(common)} of {len(either)} objects, as two versions of the "
                "same annotations do: remove the older one"
            )
    return copies


def _name_other_splits(first: Path, second: Path) -> bool:
    """Check whether two files or their folders name different splits: an image may be in both."""
    splits = [_find_split(path) for path in (first, second)]
    return splits[0] != splits[1] and None not in splits


def _find_split(path: Path) -> str | None:
    return find_split_in_name(path.stem) or find_split_in_name(path.parent.name)
