"""Select a part of the train images, data.fraction: nested, stratified by class, in whole groups."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import NamedTuple

from pipeline.core.errors import UserError
from pipeline.core.text import format_count
from pipeline.prepare.splits.stratify import SplitSample


class TrainSubset(NamedTuple):
    """A split after data.fraction.

    Attributes:
        splits: The split of each image that is left.
        outside: The train images that are left out.
        remarks: A sentence for the user; none where all images are used.
    """

    splits: dict[str, str]
    outside: frozenset[str]
    remarks: list[str]


def reduce_train_split(
    splits: Mapping[str, str], samples: Sequence[SplitSample], fraction: float, *, seed: int
) -> TrainSubset:
    """Leave out all train images but a fraction of them; val and test stay as they are.

    Args:
        splits: The split of each image.
        samples: All images.
        fraction: data.fraction.
        seed: data.fraction_seed.

    Raises:
        UserError: The fraction is less than one image, or no image with an object.
    """
    if fraction == 1:
        return TrainSubset(dict(splits), frozenset(), [])
    train = [sample for sample in samples if splits.get(sample.key) == "train"]
    total = format_count(len(train), "train image")
    if fraction * len(train) < 1:
        raise UserError(f"data.fraction={fraction:g} of {total} is less than one image: set a larger one")
    kept = select_train_subset(train, fraction, seed=seed)
    if not any(sample.classes for sample in train if sample.key in kept):
        raise UserError(
            f"data.fraction={fraction:g} of {total} has no labelled object: set a larger one, or another "
            "data.fraction_seed"
        )
    remark = f"data.fraction={fraction:g}, data.fraction_seed={seed}: {len(kept)} of {total} are used"
    outside = frozenset(sample.key for sample in train) - kept
    left = {key: split for key, split in splits.items() if key not in outside}
    return TrainSubset(left, outside, [remark])


def select_train_subset(samples: Sequence[SplitSample], fraction: float, *, seed: int) -> set[str]:
    """Select about a fraction of the images, in whole groups; a larger fraction only adds images.

    The images of each class are spread evenly over one order, of which the first ones are taken. An image
    counts for its rarest class; a class of few images may be absent from a small part, as it would be from a
    small dataset.

    Args:
        samples: The train images.
        fraction: 0 to 1. The number of images is as near to it as whole groups allow, at least one group.
        seed: Of the order: another seed gives other parts.

    Returns:
        The keys of the selected images.
    """
    ordered = _order_groups(samples, seed)
    if not ordered:
        return set()
    wanted = fraction * len(samples)
    counts = list(accumulate(map(len, ordered)))
    taken = min(range(len(counts)), key=lambda place: (abs(counts[place] - wanted), place))
    return {sample.key for group in ordered[: taken + 1] for sample in group}


def _order_groups(samples: Sequence[SplitSample], seed: int) -> list[tuple[SplitSample, ...]]:
    """Order the groups so that each first part has its share of every class."""
    rarity = Counter(label for sample in samples for label in sample.classes)
    strata: dict[int, list[tuple[SplitSample, ...]]] = defaultdict(list)
    for group in _collect_groups(samples):
        strata[_find_rarest_class(group, rarity)].append(group)
    generator = random.Random(seed)
    places: list[tuple[float, tuple[SplitSample, ...]]] = []
    for label in sorted(strata):
        groups = sorted(strata[label], key=lambda _: generator.random())
        places += _spread_evenly(groups, generator.random())
    return [group for _, group in sorted(places)]


def _collect_groups(samples: Sequence[SplitSample]) -> list[tuple[SplitSample, ...]]:
    members: dict[str, list[SplitSample]] = defaultdict(list)
    for sample in sorted(samples):
        members[sample.group].append(sample)
    return [tuple(group) for group in members.values()]


def _find_rarest_class(group: Sequence[SplitSample], rarity: Counter[int]) -> int:
    """Return the class that the fewest images show; -1 for a group of backgrounds."""
    labels = {label for sample in group for label in sample.classes}
    return min(labels, key=lambda label: (rarity[label], label), default=-1)


def _spread_evenly(
    groups: Sequence[tuple[SplitSample, ...]], start: float
) -> list[tuple[float, tuple[SplitSample, ...]]]:
    """Give groups places from 0 to 1, each as wide as its share of the images, from a random start."""
    total = sum(map(len, groups))
    ends = accumulate(map(len, groups))
    return [((end - len(group) * start) / total, group) for end, group in zip(ends, groups, strict=True)]
