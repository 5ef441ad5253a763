"""Which images belong together, and so on one side of every split: equal ones, near copies, named groups."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Final, Literal, NamedTuple

from pipeline.core.errors import UserError
from pipeline.core.text import format_count

LinkReason = Literal["equal", "near", "named"]
_COLUMN: Final = "column:"
_SCENE: Final = 10
_LARGE: Final = 0.3
"""Images, and share of all, from which a group of near copies is more than copies."""
_ROBOFLOW: Final = re.compile(r"(.+)\.rf\.[0-9a-f]{6,}")


class ImageLink(NamedTuple):
    """Two images that belong together, and why: byte for byte equal, near copies, or of one named group."""

    first: str
    second: str
    why: LinkReason


def connect(keys: Iterable[str], links: Iterable[ImageLink]) -> dict[str, str]:
    """Return the group of each image, named for the first image in it (union-find, Tarjan 1975)."""
    parent = {key: key for key in keys}

    def root(key: str) -> str:
        while parent[key] != key:
            parent[key] = key = parent[parent[key]]
        return key

    for link in links:
        low, high = sorted((root(link.first), root(link.second)))
        parent[high] = low
    return {key: root(key) for key in parent}


def members(groups: Mapping[str, str]) -> list[list[str]]:
    """List the groups of more than one image, the largest first."""
    found: dict[str, list[str]] = defaultdict(list)
    for key in sorted(groups):
        found[groups[key]].append(key)
    return sorted(
        (group for group in found.values() if len(group) > 1), key=lambda group: (-len(group), group)
    )


def one_scene(groups: Sequence[Sequence[str]], images: int) -> str:
    """Say so where a group of near copies is a large part of all images, as from a camera that stands still.

    Args:
        groups: Equal images and near copies, the largest group first.
        images: How many there are.
    """
    most = len(groups[0]) if groups else 0
    if most < _SCENE or most <= _LARGE * images:
        return ""
    return (
        f"{most} of {images} images are near copies of one another, as from a camera that stands still, and "
        "stay on one side: data.near_duplicates=false deals them out, and data.group_by keeps those together "
        "that were taken together"
    )


def crowded(pairs: int) -> str:
    """Say that too many images look alike for near copies to be told."""
    return (
        f"some {pairs:,} pairs of images look alike, as from a camera that stands still, and it would take "
        "hours to tell near copies among them: set data.near_duplicates=false, and data.group_by to what was "
        "taken together"
    )


def equal(hashes: Mapping[str, str]) -> list[ImageLink]:
    """Link the images that are byte for byte equal.

    Args:
        hashes: SHA-256 by image.
    """
    return _chained(hashes, "equal")


def named(by: str, columns: Mapping[str, Mapping[str, str]]) -> tuple[list[ImageLink], list[str]]:
    """Link the images that data.group_by puts into one group.

    Args:
        by: `folder`, `column:NAME`, or a regular expression whose first group, or whole match, names the
            group of an image; it is searched for in the image's path.
        columns: What a table says of each image, by column; the keys are paths in the source.

    Returns:
        The links, and what a user should know.

    Raises:
        Refused: No image has this column, or the pattern is none.
    """
    names = {path: _name(by, path, cells) for path, cells in columns.items()}
    found = {path: name for path, name in names.items() if name}
    lost = len(names) - len(found)
    if names and not found:
        raise UserError(
            f"data.group_by={by} names no group for any of {format_count(len(names), 'image')}: "
            f"{_hint(by, columns)}"
        )
    groups, images = format_count(len(set(found.values())), "group"), format_count(len(found), "image")
    alone = f"; {format_count(lost, 'image')} in none, a group of its own each" if lost else ""
    return _chained(found, "named"), [f"data.group_by={by}: {groups} of {images}{alone}"]


def suspects(paths: Iterable[str]) -> list[str]:
    """Say so where file names tell that several images were made from one, as Roboflow's exports do."""
    found = [match.group(1) for path in paths if (match := _ROBOFLOW.match(path.rsplit("/", 1)[-1]))]
    several = len(found) - len(set(found))
    pattern = r"([^/]+)\.rf\."
    said = format_count(
        several, "image is a further version of another", "images are further versions of others"
    )
    hint = f"{said} by name (.rf.): data.group_by='{pattern}' keeps them together"
    return [hint] if several else []


def _name(by: str, path: str, cells: Mapping[str, str]) -> str:
    if by == "folder":
        return path.rsplit("/", 1)[0] if "/" in path else "."
    if by.startswith(_COLUMN):
        return cells.get(by.removeprefix(_COLUMN), "").strip()
    match = _pattern(by).search(path)
    return (match.group(1) or "" if match.re.groups else match.group()) if match else ""


def _pattern(by: str) -> re.Pattern[str]:
    try:
        return re.compile(by)
    except re.error as error:
        raise UserError(
            f"data.group_by={by} is no regular expression ({error}): give folder, column:NAME or a pattern"
        ) from None


def _hint(by: str, columns: Mapping[str, Mapping[str, str]]) -> str:
    if by.startswith(_COLUMN):
        there = sorted({column for cells in columns.values() for column in cells})
        return f"there are the columns {', '.join(there)}" if there else "the source has no columns"
    return f"the first path is {min(columns)}"


def _chained(names: Mapping[str, str], why: LinkReason) -> list[ImageLink]:
    """Link each image to the one before it of the same name."""
    together: dict[str, list[str]] = defaultdict(list)
    for key in sorted(names):
        together[names[key]].append(key)
    return [ImageLink(one, other, why) for group in together.values() for one, other in pairwise(group)]
