"""Divide images into train, val and test: seeded, stratified by class, whatever order they come in."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

SplitSizes = dict[str, int]


class SplitSample(NamedTuple):
    """What dividing needs to know of an image.

    Attributes:
        key: Names it; unique.
        group: Images of one group stay on one side (such as the hash of equal files).
        classes: Class indices of its objects, none for a background.
    """

    key: str
    group: str
    classes: frozenset[int]


def sizes(total: int, weights: Mapping[str, float]) -> SplitSizes:
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


def divide(
    samples: Iterable[SplitSample],
    wanted: Mapping[str, int],
    *,
    seed: int,
    allowed: Mapping[str, Collection[str]] | None = None,
) -> dict[str, str]:
    """Give each image a split, such that each class is spread over the splits in proportion to their sizes.

    Iterative stratification for several labels per image (Sechidis, Tsoumakas, Vlahavas, ECML PKDD 2011): the
    rarest class is dealt out first, each of its images to the split that lacks most of that class. Sizes are
    met exactly wherever groups are single images; a larger group goes where it fits, else where most room is.

    Args:
        samples: The images.
        wanted: Number of images in each split, the one most held out last; they add up to the number of
            samples.
        seed: Of the order among equals.
        allowed: The splits open to some images, as known from earlier. Where images of one group have none
            in common, the whole group goes to the one most held out, so that nothing leaks.

    Returns:
        The split of each key.
    """
    groups = _groups(samples, seed)
    sides = {group: _sides(group, list(wanted), allowed or {}) for group in groups}
    dealing = _Assignment(dict(wanted), _lacking(groups, wanted), {}, set(wanted))
    left = len(groups)
    for choice in range(1, len(wanted) + 1):  # those that may go anywhere make up for those that may not
        for labels, members in _rarest_first([group for group in groups if len(sides[group]) == choice]):
            for group in members:
                dealing.place(group, dealing.choose(group, labels, sides[group], left=left))
                left -= 1
    return dealing.splits


def complete(
    given: Mapping[str, str],
    samples: Sequence[SplitSample],
    weights: Mapping[str, float],
    *,
    seed: int,
    allowed: Mapping[str, Collection[str]] | None = None,
) -> dict[str, str]:
    """Keep a split that came with the data, and carve a missing val or test out of train.

    What came as val or test stays as it is, so that figures stay comparable with other people's; only train
    gives. A carved split gets its share of the whole dataset, and train keeps at least one image.

    Args:
        given: The split of each key; train among them.
        samples: The images.
        weights: Relative weight of each split, the one most held out last.
        seed: Of the order among equals.
        allowed: The splits open to some images of train, as known from earlier; what was carved out then
            stays where it is, even if the data have such a split by now.
    """
    have = Counter(given.values())
    missing = [split for split in weights if not have[split]]
    train = [sample for sample in samples if given[sample.key] == "train"]
    opened = {"train", *missing}
    sides = {sample.key: set((allowed or {}).get(sample.key, opened)) for sample in train}
    sides = {key: found if len(found) == 1 else found & opened for key, found in sides.items()}
    shares, most = sizes(len(samples), weights), max(1, (len(train) - 1) // max(1, len(missing)))
    carved = {split for found in sides.values() for split in found} | opened
    wanted = {
        split: min(shares[split], most) if split in missing else 0 for split in weights if split in carved
    }
    wanted["train"] = len(train) - sum(wanted.values())
    return dict(given) | divide(train, wanted, seed=seed, allowed=sides)


SampleGroup = tuple[SplitSample, ...]
_BACKGROUND = -1


def _labels(sample: SplitSample) -> frozenset[int]:
    """Backgrounds are dealt out like a class of their own."""
    return sample.classes or frozenset({_BACKGROUND})


def _groups(samples: Iterable[SplitSample], seed: int) -> list[SampleGroup]:
    """Collect equal images, in an order that depends on keys and seed alone; large groups first."""
    together: dict[str, list[SplitSample]] = defaultdict(list)
    for sample in sorted(samples):
        together[sample.group].append(sample)
    groups = sorted((tuple(group) for group in together.values()), key=lambda group: group[0].key)
    random.Random(seed).shuffle(groups)
    return sorted(groups, key=len, reverse=True)


def _lacking(groups: Iterable[SampleGroup], wanted: Mapping[str, int]) -> dict[str, dict[int, float]]:
    """Say how many images of each class each split should get."""
    counts = Counter(label for group in groups for sample in group for label in _labels(sample))
    whole = sum(wanted.values())
    return {
        split: {label: number * size / whole for label, number in counts.items()}
        for split, size in wanted.items()
    }


def _sides(group: SampleGroup, splits: Sequence[str], allowed: Mapping[str, Collection[str]]) -> list[str]:
    """List the splits that a group may go to."""
    known = [set(allowed[sample.key]) for sample in group if sample.key in allowed]
    common = [split for split in splits if all(split in each for each in known)]
    return common or [split for split in splits if any(split in each for each in known)][-1:]


def _rarest_first(groups: Sequence[SampleGroup]) -> Iterable[tuple[frozenset[int], list[SampleGroup]]]:
    """Yield classes and the groups to be dealt out for them: large groups first, then rare classes first."""
    for group in groups:
        if len(group) > 1:
            yield frozenset(label for sample in group for label in _labels(sample)), [group]
    left: dict[str, SampleGroup] = {group[0].key: group for group in groups if len(group) == 1}
    while left:
        counts = Counter(label for group in left.values() for label in _labels(group[0]))
        rarest = min(counts, key=lambda label: (counts[label], label))
        members = [group for group in left.values() if rarest in _labels(group[0])]
        for group in members:
            del left[group[0].key]
        yield frozenset({rarest}), members


@dataclass(frozen=True)
class _Assignment:
    """How far dealing out has come.

    Args:
        room: Images that each split still takes.
        lacking: Images of each class that each split still lacks.
        splits: The split of each key so far.
        empty: The splits without an image so far.
    """

    room: dict[str, int]
    lacking: dict[str, dict[int, float]]
    splits: dict[str, str]
    empty: set[str]

    def choose(self, group: SampleGroup, labels: frozenset[int], sides: Sequence[str], *, left: int) -> str:
        """Return the split that lacks most of what the group has, among those where it fits."""
        empty = [split for split in sides if split in self.empty]
        if left <= len(empty):  # as few groups are left as splits without any
            sides = empty
        fits = [split for split in sides if self.room[split] >= len(group)]
        fits = fits or [max(sides, key=lambda split: self.room[split])]
        return max(fits, key=lambda split: (self._need(group, labels, split), self.room[split]))

    def place(self, group: SampleGroup, split: str) -> None:
        """Put a group into a split."""
        self.room[split] -= len(group)
        self.empty.discard(split)
        for sample in group:
            self.splits[sample.key] = split
            for label in _labels(sample):
                self.lacking[split][label] -= 1

    def _need(self, group: SampleGroup, labels: frozenset[int], split: str) -> float:
        """Say how much a split lacks of some classes; rare classes count as much as common ones."""
        if len(group) == 1:
            return sum(self.lacking[split][label] for label in labels)
        whole = {label: sum(abs(lacks[label]) for lacks in self.lacking.values()) for label in labels}
        return sum(self.lacking[split][label] / max(whole[label], 1) for label in labels)
