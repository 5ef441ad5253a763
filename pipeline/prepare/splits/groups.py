"""Link and group the images that must stay in one split: equal images, near duplicates, named groups."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Final, Literal, NamedTuple

from pipeline.core.errors import UserError
from pipeline.core.text import format_count
from pipeline.source.types import SPLIT_NAMES

LinkReason = Literal["equal", "near", "named"]
FOLDER: Final = "folder"
"""The data.group_by that is the folder of an image."""
COLUMN_PREFIX: Final = "column:"
"""Begins a data.group_by that is a column of a table."""
_MIN_SCENE_IMAGES: Final = 10
_MIN_SCENE_SHARE: Final = 0.3
"""A group of near duplicates with more images, and a larger share of all, shows a static scene."""
_IMAGE_FOLDERS: Final = frozenset({"images", "image", "imgs", "img", "jpegimages", "data"})
"""Names of folders that say nothing about the images in them."""
_GENERIC_FOLDERS: Final = _IMAGE_FOLDERS | SPLIT_NAMES
_ROBOFLOW_NAME: Final = re.compile(r"(.+)\.rf\.[0-9a-f]{6,}")


class ImageLink(NamedTuple):
    """Two images that belong together, and why: equal files, near duplicates, or one named group."""

    first: str
    second: str
    why: LinkReason


def group_linked_images(keys: Iterable[str], links: Iterable[ImageLink]) -> dict[str, str]:
    """Return the group of each image, named after the group's first image (union-find, Tarjan 1975)."""
    parent = {key: key for key in keys}

    def find_root(key: str) -> str:
        while parent[key] != key:
            parent[key] = key = parent[parent[key]]
        return key

    for link in links:
        low, high = sorted((find_root(link.first), find_root(link.second)))
        parent[high] = low
    return {key: find_root(key) for key in parent}


def list_groups(groups: Mapping[str, str]) -> list[list[str]]:
    """List the groups of more than one image, the largest first."""
    members: dict[str, list[str]] = defaultdict(list)
    for key in sorted(groups):
        members[groups[key]].append(key)
    return sorted(
        (group for group in members.values() if len(group) > 1), key=lambda group: (-len(group), group)
    )


def describe_static_scene(groups: Sequence[Sequence[str]], images: int, *, is_split: bool = False) -> str:
    """Return a remark if a group of near duplicates is a large part of all images, as from a static camera.

    Args:
        groups: Equal images and near duplicates, the largest group first.
        images: Number of all images.
        is_split: Whether the split came with the data, which puts near copies where it likes.
    """
    largest = len(groups[0]) if groups else 0
    if largest < _MIN_SCENE_IMAGES or largest <= _MIN_SCENE_SHARE * images:
        return ""
    scene = f"{largest} of {images} images are near copies of one another, as from a camera that stands still"
    if is_split:
        return f"{scene}: data.near_duplicates=false accepts near copies in several splits"
    return (
        f"{scene}, and stay on one side: data.near_duplicates=false lets near copies, but not equal files, "
        "go to several splits, and data.group_by keeps those together that were taken together"
    )


def describe_pair_overflow(pairs: int) -> str:
    """Return an error text: too many images are similar to search for near duplicates."""
    return (
        f"about {pairs:,} pairs of images look alike, as from a static camera, and to compare them would "
        "take hours: set data.near_duplicates=false, and data.group_by to keep images together that were "
        "taken together"
    )


def link_equal_images(hashes: Mapping[str, str]) -> list[ImageLink]:
    """Link the images that are equal byte for byte.

    Args:
        hashes: SHA-256 by image.
    """
    return _link_same_values(hashes, "equal")


def link_named_groups(
    group_by: str, columns: Mapping[str, Mapping[str, str]], origins: Mapping[str, str] = {}
) -> tuple[list[ImageLink], list[str]]:
    """Link the images that data.group_by puts into one group.

    Args:
        group_by: `folder`, `column:NAME`, or a regular expression, which is searched in the image's path; its
            first group, or else the whole match, is the name of the image's group.
        columns: The table row of each image, by column; the keys are paths in the source.
        origins: The source of each image, where there are several. One name in two of them is one group,
            so that rather too much stays together than too little.

    Returns:
        The links, and remarks for the user.

    Raises:
        UserError: No image has this column, or the pattern is not a regular expression.
    """
    names = {path: find_group_name(group_by, path, row) for path, row in columns.items()}
    named = {path: name for path, name in names.items() if name}
    unnamed = len(names) - len(named)
    if names and not named:
        raise UserError(
            f"data.group_by={group_by} names no group for any of {format_count(len(names), 'image')}: "
            f"{_describe_choices(group_by, columns)}"
        )
    groups, images = format_count(len(set(named.values())), "group"), format_count(len(named), "image")
    alone = f"; {format_count(unnamed, 'image')} in none, a group of its own each" if unnamed else ""
    shared = _describe_shared_names(named, origins)
    remarks = [f"data.group_by={group_by}: {groups} of {images}{shared}{alone}"]
    if group_by == FOLDER:
        remarks += _describe_equal_folders(named.values())
    return _link_same_values(named, "named"), remarks


def suggest_grouping(paths: Iterable[str]) -> list[str]:
    """Suggest data.group_by if file names show several versions of one image, as in Roboflow's exports."""
    originals = [match.group(1) for path in paths if (match := _ROBOFLOW_NAME.match(path.rsplit("/", 1)[-1]))]
    versions = len(originals) - len(set(originals))
    pattern = r"([^/]+)\.rf\."
    counted = format_count(
        versions, "image is a further version of another", "images are further versions of others"
    )
    return (
        [f"{counted} by name (.rf.): \"data.group_by='{pattern}'\" keeps them together"] if versions else []
    )


def find_group_name(group_by: str, path: str, row: Mapping[str, str]) -> str:
    """Return the group that data.group_by puts an image into; empty if it is in none.

    Args:
        group_by: As in `link_named_groups`.
        path: Of the image in its source.
        row: Its table row, by column.

    Raises:
        UserError: The pattern is not a regular expression.
    """
    if group_by == FOLDER:
        return _name_folder(path.split("/")[:-1])
    if group_by.startswith(COLUMN_PREFIX):
        return row.get(group_by.removeprefix(COLUMN_PREFIX), "").strip()
    match = _compile_pattern(group_by).search(path)
    return (match.group(1) or "" if match.re.groups else match.group()) if match else ""


def _name_folder(parts: Sequence[str]) -> str:
    """Return the folder of an image, without folders of splits above it.

    So images/train/patient07 and images/val/patient07 are one group. Where a split has no folders of its own,
    as images/train and images/val, the split's folder is the group.
    """
    kept = [part for part in parts if part.lower() not in SPLIT_NAMES]
    last_split = max((place for place, part in enumerate(parts) if part.lower() in SPLIT_NAMES), default=-1)
    has_own = any(part.lower() not in _IMAGE_FOLDERS for part in parts[last_split + 1 :])
    return "/".join(kept if has_own else parts) or "."


def _describe_equal_folders(names: Iterable[str]) -> list[str]:
    """Return a remark if folders of one name are in several places, as the same patient's may be."""
    places: dict[str, set[str]] = defaultdict(set)
    for name in names:
        places[name.rsplit("/", 1)[-1]].add(name)
    several = sorted(
        name for name, found in places.items() if len(found) > 1 and name.lower() not in _GENERIC_FOLDERS
    )
    if not several:
        return []
    shown = ", ".join(sorted(places[several[0]])[:2])
    counted = format_count(len(several), "name of a folder is", "names of folders are")
    return [
        f"{counted} in several places, such as "
        f"{shown}: they are different groups; \"data.group_by='([^/]+)/[^/]+$'\" groups by the name alone"
    ]


def _describe_shared_names(named: Mapping[str, str], origins: Mapping[str, str]) -> str:
    """Return how many groups have images of several sources."""
    found: dict[str, set[str]] = defaultdict(set)
    for path, name in named.items():
        found[name].add(origins.get(path, ""))
    shared = sum(len(each) > 1 for each in found.values())
    return f"; {shared} of them in several sources, taken for the same" if shared else ""


def _compile_pattern(group_by: str) -> re.Pattern[str]:
    try:
        return re.compile(group_by)
    except re.error as error:
        raise UserError(
            f"data.group_by={group_by} is no regular expression ({error}): "
            "give folder, column:NAME or a pattern"
        ) from None


def _describe_choices(group_by: str, columns: Mapping[str, Mapping[str, str]]) -> str:
    if group_by.startswith(COLUMN_PREFIX):
        names = sorted({column for row in columns.values() for column in row})
        return f"there are the columns {', '.join(names)}" if names else "the source has no columns"
    return f"the first path is {min(columns)}"


def _link_same_values(values: Mapping[str, str], why: LinkReason) -> list[ImageLink]:
    """Link each image to the previous image with the same value."""
    keys: dict[str, list[str]] = defaultdict(list)
    for key in sorted(values):
        keys[values[key]].append(key)
    return [ImageLink(one, other, why) for group in keys.values() for one, other in pairwise(group)]
