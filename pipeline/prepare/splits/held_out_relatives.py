"""Find pseudo-labelled images that must not be trained on, since val or test shows what they show."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from itertools import pairwise

from pipeline.prepare.splits.groups import ImageLink, find_group_name, group_linked_images


def find_held_out_relatives(
    pseudo: Collection[str], splits: Mapping[str, str], links: Iterable[ImageLink]
) -> frozenset[str]:
    """Find the pseudo-labelled images that are in a group with an image of val or test.

    Args:
        pseudo: The pseudo-labelled images.
        splits: The split of each labelled image.
        links: Images that belong together: equal files, near copies, named groups.
    """
    groups = group_linked_images([*pseudo, *splits], links)
    held_out = {groups[key] for key, split in splits.items() if split != "train"}
    return frozenset(key for key in pseudo if groups[key] in held_out)


def link_by_group_name(
    group_by: str,
    labelled: Mapping[str, tuple[str, Mapping[str, str]]],
    pseudo: Mapping[str, str],
) -> list[ImageLink]:
    """Link images of the same data.group_by: labelled ones, and pseudo-labelled ones to these.

    The folder of unlabelled images is taken for one more part of the same source: a group of the same name
    is the same group, so that rather too much is left out than too little.

    Args:
        group_by: As in `link_named_groups`.
        labelled: Path in its source, and table row, of each labelled image.
        pseudo: Path in its folder of each pseudo-labelled image; it has no table row.

    Raises:
        UserError: The pattern is not a regular expression.
    """
    members: dict[str, list[str]] = defaultdict(list)
    for key, (path, row) in labelled.items():
        members[find_group_name(group_by, path, row)].append(key)
    links = [
        ImageLink(one, other, "named")
        for name, keys in members.items()
        if name
        for one, other in pairwise(keys)
    ]
    names = {key: find_group_name(group_by, path, {}) for key, path in pseudo.items()}
    return links + [
        ImageLink(key, members[name][0], "named") for key, name in names.items() if name and name in members
    ]


def select_by_hash(hashes: Mapping[str, str], limit: int, *, seed: int) -> frozenset[str]:
    """Select at most `limit` images by chance; a larger limit only adds images.

    Args:
        hashes: SHA-256 of each image, on which alone its place depends.
        limit: Number of images, 0 or more.
        seed: Another seed selects others.
    """
    places = {key: hashlib.sha256(f"{seed} {sha256}".encode()).digest() for key, sha256 in hashes.items()}
    return frozenset(sorted(places, key=lambda key: (places[key], key))[:limit])
