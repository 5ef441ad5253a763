"""Divide images into train, val and test: seeded, stratified by class, whatever order they come in."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

Sizes = dict[str, int]


class Sample(NamedTuple):
    """What dividing needs to know of an image.

    Attributes:
        key: Names it; unique.
        group: Images of one group stay on one side (such as the hash of equal files).
        classes: Class indices of its objects, none for a background.
    """

    key: str
    group: str
    classes: frozenset[int]


def sizes(total: int, weights: Mapping[str, float]) -> Sizes:
    """Share `total` images out by the method of the largest remainder, no split empty.

    Args:
        total: At least as many as there are splits.
        weights: Relative weight of each split, above 0.
    """
    whole = sum(weights.values())
    exact = {split: total * weight / whole for split, weight in weights.items()}
    shared = {split: int(quota) for split, quota in exact.items()}
    by_remainder = sorted(exact, key=lambda split: shared[split] - exact[split])
    for split in by_remainder[: total - sum(shared.values())]:
        shared[split] += 1
    for empty in (split for split in shared if not shared[split]):
        shared[max(shared, key=lambda split: shared[split])] -= 1
        shared[empty] = 1
    return shared


def divide(samples: Iterable[Sample], wanted: Mapping[str, int], *, seed: int) -> dict[str, str]:
    """Give each image a split, such that each class is spread over the splits in proportion to their sizes.

    Iterative stratification for several labels per image (Sechidis, Tsoumakas, Vlahavas, ECML PKDD 2011): the
    rarest class is dealt out first, each of its images to the split that lacks most of that class. Sizes are
    met exactly wherever groups are single images; a larger group goes where it fits, else where most room is.

    Args:
        samples: The images.
        wanted: Number of images in each split; they add up to the number of samples.
        seed: Of the order among equals.

    Returns:
        The split of each key.
    """
    groups = _groups(samples, seed)
    room = dict(wanted)
    lacking = _lacking(groups, wanted)
    splits: dict[str, str] = {}
    for label, members in _rarest_first(groups):
        for group in members:
            split = _choose(group, label, room=room, lacking=lacking)
            room[split] -= len(group)
            for sample in group:
                splits[sample.key] = split
                for cls in _labels(sample):
                    lacking[split][cls] -= 1
    return splits


def complete(
    given: Mapping[str, str], samples: Sequence[Sample], weights: Mapping[str, float], *, seed: int
) -> dict[str, str]:
    """Keep a split that came with the data, and carve a missing val or test out of train.

    What came as val or test stays as it is, so that figures stay comparable with other people's; only train
    gives. A carved split gets its share of the whole dataset, and train keeps at least one image.

    Args:
        given: The split of each key; train among them.
        samples: The images.
        weights: Relative weight of each split.
        seed: Of the order among equals.
    """
    have = Counter(given.values())
    missing = [split for split in weights if not have[split]]
    if not missing:
        return dict(given)
    shares = sizes(len(samples), weights)
    wanted = {split: min(shares[split], max(1, (have["train"] - 1) // len(missing))) for split in missing}
    wanted["train"] = have["train"] - sum(wanted.values())
    train = [sample for sample in samples if given[sample.key] == "train"]
    return dict(given) | divide(train, wanted, seed=seed)


Group = tuple[Sample, ...]
_BACKGROUND = -1


def _labels(sample: Sample) -> frozenset[int]:
    """Backgrounds are dealt out like a class of their own."""
    return sample.classes or frozenset({_BACKGROUND})


def _groups(samples: Iterable[Sample], seed: int) -> list[Group]:
    """Collect equal images, in an order that depends on keys and seed alone; large groups first."""
    together: dict[str, list[Sample]] = defaultdict(list)
    for sample in sorted(samples):
        together[sample.group].append(sample)
    groups = sorted((tuple(group) for group in together.values()), key=lambda group: group[0].key)
    random.Random(seed).shuffle(groups)
    return sorted(groups, key=len, reverse=True)


def _lacking(groups: Iterable[Group], wanted: Mapping[str, int]) -> dict[str, dict[int, float]]:
    """Say how many images of each class each split should get."""
    counts = Counter(label for group in groups for sample in group for label in _labels(sample))
    whole = sum(wanted.values())
    return {
        split: {label: number * size / whole for label, number in counts.items()}
        for split, size in wanted.items()
    }


def _rarest_first(groups: Sequence[Group]) -> Iterable[tuple[int, list[Group]]]:
    """Yield a class and the groups to be dealt out for it: large groups first, then rare classes first."""
    for group in groups:
        if len(group) > 1:
            yield min(label for sample in group for label in _labels(sample)), [group]
    left: dict[str, Group] = {group[0].key: group for group in groups if len(group) == 1}
    while left:
        counts = Counter(label for group in left.values() for label in _labels(group[0]))
        rarest = min(counts, key=lambda label: (counts[label], label))
        members = [group for group in left.values() if rarest in _labels(group[0])]
        for group in members:
            del left[group[0].key]
        yield rarest, members


def _choose(
    group: Group, label: int, *, room: Mapping[str, int], lacking: Mapping[str, Mapping[int, float]]
) -> str:
    fits = [split for split in room if room[split] >= len(group)] or [
        max(room, key=lambda split: room[split])
    ]
    return max(fits, key=lambda split: (lacking[split][label], room[split]))
