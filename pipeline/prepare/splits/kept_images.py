"""Describe the effect of an earlier split: images that keep it, images that move, splits that get small."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import Final

from pipeline.core.paths import SPLITS_LOCK_FILE
from pipeline.core.text import format_count
from pipeline.prepare.splits.history import UNDECIDED
from pipeline.prepare.splits.stratify import compute_split_sizes

_MIN_SHARE_OF_SIZE: Final = 0.5
"""A split with fewer images than this share of its size is called small."""


def describe_kept_images(
    known: Mapping[str, str], folded: Mapping[str, str], groups: Mapping[str, str], *, new: int
) -> list[str]:
    """Describe how many images keep their earlier split, and why others had to leave it.

    Args:
        known: The earlier split or fold of the images that have one.
        folded: The new split or fold of each image.
        groups: The group of each image.
        new: Number of images without an earlier split.
    """
    if not known:
        return []
    undecided = sum(side == UNDECIDED for side in known.values())
    moved = sorted(key for key, side in known.items() if side not in {UNDECIDED, folded[key]})
    sides = defaultdict(set)
    for key, side in known.items():
        sides[groups[key]].add(side)
    linked = [key for key in moved if len(sides[groups[key]]) > 1]
    freed = [key for key in moved if len(sides[groups[key]]) == 1]
    stayed = format_count(
        len(known) - len(moved) - undecided, "image keeps its split", "images keep their split"
    )
    added = format_count(new, "image is", "images are")
    remark = f"{stayed} of the last prepare ({SPLITS_LOCK_FILE}), {added} new"
    return [
        remark,
        *_describe_undecided(undecided),
        *_describe_linked(linked),
        *_describe_freed(freed, known, folded),
    ]


def describe_lost_test(sides: Mapping[str, str], present: Collection[str]) -> list[str]:
    """Say that no image of the last split is here, if images of its test may be in train now.

    Args:
        sides: The split history: the split or fold by `shorten_hash` of the contents.
        present: The images by the same hash.
    """
    in_test = sum(side == "test" for side in sides.values())
    if not in_test or not sides.keys().isdisjoint(present):
        return []
    return [
        f"none of the {format_count(len(sides), 'image')} of the last split ({SPLITS_LOCK_FILE}) is here: no "
        f"image keeps its split; if these are the same images in new files, some of the {in_test} of its "
        "test may be in train now"
    ]


def describe_overridden_splits(given: Mapping[str, str], assigned: Mapping[str, str]) -> list[str]:
    """Say how many train images of the source stay in val or test, although the source has such a split now.

    Args:
        given: The split of the source.
        assigned: The new split of each image.
    """
    has_own = set(given.values())
    kept = [key for key, split in given.items() if split == "train" and assigned.get(key, split) in has_own]
    counts = Counter(assigned[key] for key in kept if assigned.get(key, "train") != "train")
    if not counts:
        return []
    named = " and ".join(f"{number} in {split}" for split, number in sorted(counts.items()))
    return [
        f"the source has {format_count(counts.total(), 'image')} in train that stay where an earlier prepare "
        f"put them, {named}, so that results stay comparable; another data.seed takes the source's split"
    ]


def describe_small_splits(
    known: Mapping[str, str],
    assigned: Mapping[str, str],
    groups: Mapping[str, str],
    weights: Mapping[str, float],
) -> list[str]:
    """Describe splits that are much smaller than data.split says, because images keep their earlier split.

    Args:
        known: The earlier split of the images that have one.
        assigned: The new split of each image.
        groups: The group of each image: groups that are larger than a split explain its size, too.
        weights: Relative weight of each split.
    """
    if not known:
        return []
    counts, sizes = Counter(assigned.values()), compute_split_sizes(len(assigned), weights)
    largest = max(Counter(groups.values()).values())
    small = [
        split
        for split in weights
        if counts[split] < _MIN_SHARE_OF_SIZE * sizes[split] and sizes[split] - counts[split] > largest
    ]
    if not small:
        return []
    listed = ", ".join(f"{split} has {counts[split]} instead of {sizes[split]}" for split in small)
    return [
        f"{listed} of {len(assigned)} images, because images keep their split of the last prepare "
        f"({SPLITS_LOCK_FILE}): set data.seed to another number to split all images anew"
    ]


def _describe_undecided(number: int) -> list[str]:
    if not number:
        return []
    return [
        f"{format_count(number, 'image')} outside of test {'is' if number == 1 else 'are'} assigned anew, "
        f"because {SPLITS_LOCK_FILE} knows them only from another data.folds"
    ]


def _describe_linked(moved: Sequence[str]) -> list[str]:
    if not moved:
        return []
    return [
        f"{format_count(len(moved), 'image moves', 'images move')} to another split, because new images link "
        f"to images there: {_name_first(moved)}"
    ]


def _describe_freed(moved: Sequence[str], known: Mapping[str, str], folded: Mapping[str, str]) -> list[str]:
    if not moved:
        return []
    goals = {folded[key] for key in moved}
    empty = [
        f"fold {side}" if side.isdigit() else side for side in sorted(goals - {*known.values()} or goals)
    ]
    counted = format_count(len(moved), "image moves", "images move")
    return [
        f"the split of the last prepare ({SPLITS_LOCK_FILE}) has no image here for {' and '.join(empty)}: "
        f"{counted} to another split: {_name_first(moved)}"
    ]


def _name_first(keys: Sequence[str]) -> str:
    return f"{keys[0]}{', ...' if len(keys) > 1 else ''}"
