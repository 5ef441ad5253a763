"""Stratified assignment of groups of images to splits: seeded, and independent of the order of images."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

SplitSizes = dict[str, int]


class SplitSample(NamedTuple):
    """What stratification needs to know of an image.

    Attributes:
        key: Unique name.
        group: Images of one group stay in one split; equal files are one group, for example.
        classes: Class indices of its objects; none for a background.
    """

    key: str
    group: str
    classes: frozenset[int]


def compute_split_sizes(total: int, weights: Mapping[str, float]) -> SplitSizes:
    """Compute the number of images of each split by the largest remainder method; no split is empty.

    Args:
        total: Number of images, at least as many as splits.
        weights: Relative weight of each split, above 0.
    """
    weight_sum = sum(weights.values())
    quotas = {split: total * weight / weight_sum for split, weight in weights.items()}
    sizes = {split: int(quota) for split, quota in quotas.items()}
    by_remainder = sorted(quotas, key=lambda split: sizes[split] - quotas[split])
    for split in by_remainder[: total - sum(sizes.values())]:
        sizes[split] += 1
    for empty in (split for split in sizes if not sizes[split]):
        sizes[max(sizes, key=lambda split: sizes[split])] -= 1
        sizes[empty] = 1
    return sizes


def stratify_groups(
    samples: Iterable[SplitSample],
    sizes: Mapping[str, int],
    *,
    seed: int,
    allowed: Mapping[str, Collection[str]] | None = None,
) -> dict[str, str]:
    """Assign each image to a split, so that each class is spread in proportion to the sizes of the splits.

    Iterative stratification for several labels per image (Sechidis, Tsoumakas, Vlahavas, ECML PKDD 2011): the
    rarest class is assigned first, each of its images to the split that needs most of that class. Sizes are
    exact if groups are single images. A larger group goes where it fits, or else where most room is.

    Args:
        samples: The images.
        sizes: Number of images of each split, test last; they add up to the number of samples.
        seed: Seed of the order among equals.
        allowed: The splits that some images may go to, as known from earlier. If images of one group have no
            allowed split in common, the whole group goes to the last one of them, so that nothing leaks.

    Returns:
        The split of each key.
    """
    groups = _group_samples(samples, seed)
    options = {group: _list_options(group, list(sizes), allowed or {}) for group in groups}
    assignment = _Assignment(dict(sizes), _compute_needs(groups, sizes), {}, set(sizes))
    later = Counter(tuple(options[group]) for group in groups)
    for count in range(1, len(sizes) + 1):  # groups with few options first: the others can compensate
        for labels, members in _iterate_rarest([g for g in groups if len(options[g]) == count]):
            for group in members:
                later[tuple(options[group])] -= 1
                assignment.place(group, assignment.choose(group, labels, options[group], later))
    return assignment.splits


def carve_missing_splits(
    given: Mapping[str, str],
    samples: Sequence[SplitSample],
    weights: Mapping[str, float],
    *,
    seed: int,
    allowed: Mapping[str, Collection[str]] | None = None,
) -> dict[str, str]:
    """Keep the splits of the source, and carve a missing val or test out of train.

    Images of val and test stay there, so that results remain comparable with other people's. A carved split
    gets its share of the whole dataset, but train keeps at least one image.

    Args:
        given: The split of each key; train among them.
        samples: The images.
        weights: Relative weight of each split, test last.
        seed: Seed of the order among equals.
        allowed: The splits that some images of train may go to, as known from earlier. Images that were
            carved out then stay there, even if the source has such a split now.
    """
    counts = Counter(given.values())
    missing = [split for split in weights if not counts[split]]
    train = [sample for sample in samples if given[sample.key] == "train"]
    opened = {"train", *missing}
    options = {sample.key: set((allowed or {}).get(sample.key, opened)) for sample in train}
    options = {key: splits if len(splits) == 1 else splits & opened for key, splits in options.items()}
    shares, limit = (
        compute_split_sizes(len(samples), weights),
        max(1, (len(train) - 1) // max(1, len(missing))),
    )
    targets = {split for splits in options.values() for split in splits} | opened
    sizes = {
        split: min(shares[split], limit) if split in missing else 0 for split in weights if split in targets
    }
    sizes["train"] = len(train) - sum(sizes.values())
    return dict(given) | stratify_groups(train, sizes, seed=seed, allowed=options)


SampleGroup = tuple[SplitSample, ...]
_BACKGROUND = -1


def _get_labels(sample: SplitSample) -> frozenset[int]:
    """Return the classes of an image; backgrounds are stratified as one more class."""
    return sample.classes or frozenset({_BACKGROUND})


def _group_samples(samples: Iterable[SplitSample], seed: int) -> list[SampleGroup]:
    """Collect the groups, the larger ones first, in an order that depends on keys and seed alone."""
    members: dict[str, list[SplitSample]] = defaultdict(list)
    for sample in sorted(samples):
        members[sample.group].append(sample)
    groups = sorted((tuple(group) for group in members.values()), key=lambda group: group[0].key)
    random.Random(seed).shuffle(groups)
    return sorted(groups, key=len, reverse=True)


def _compute_needs(groups: Iterable[SampleGroup], sizes: Mapping[str, int]) -> dict[str, dict[int, float]]:
    """Compute how many images of each class each split should get."""
    counts = Counter(label for group in groups for sample in group for label in _get_labels(sample))
    total = sum(sizes.values())
    return {
        split: {label: number * size / total for label, number in counts.items()}
        for split, size in sizes.items()
    }


def _list_options(
    group: SampleGroup, splits: Sequence[str], allowed: Mapping[str, Collection[str]]
) -> list[str]:
    """List the splits that a group may go to."""
    known = [set(allowed[sample.key]) for sample in group if sample.key in allowed]
    common = [split for split in splits if all(split in each for each in known)]
    return common or [split for split in splits if any(split in each for each in known)][-1:]


def _iterate_rarest(groups: Sequence[SampleGroup]) -> Iterable[tuple[frozenset[int], list[SampleGroup]]]:
    """Yield classes and the groups to assign for them: groups of several images first, then rare classes."""
    for group in groups:
        if len(group) > 1:
            yield frozenset(label for sample in group for label in _get_labels(sample)), [group]
    by_label: dict[int, list[SampleGroup]] = defaultdict(list)
    for group in groups:
        for label in _get_labels(group[0]) if len(group) == 1 else ():
            by_label[label].append(group)
    counts = {label: len(members) for label, members in by_label.items()}
    done: set[str] = set()
    while counts:
        rarest = min(counts, key=lambda label: (counts[label], label))
        members = [group for group in by_label[rarest] if group[0].key not in done]
        for group in members:
            done.add(group[0].key)
            for label in _get_labels(group[0]):
                counts[label] -= 1
        counts = {label: number for label, number in counts.items() if number}
        yield frozenset({rarest}), members


@dataclass(frozen=True)
class _Assignment:
    """The state of an assignment in progress.

    Args:
        room: Number of images that each split can still take.
        needs: Number of images of each class that each split still needs.
        splits: The split of each key so far.
        empty: The splits that have no image yet.
    """

    room: dict[str, int]
    needs: dict[str, dict[int, float]]
    splits: dict[str, str]
    empty: set[str]

    def choose(
        self,
        group: SampleGroup,
        labels: frozenset[int],
        options: Sequence[str],
        later: Mapping[tuple[str, ...], int],
    ) -> str:
        """Return the split that needs the group's classes most, among those with enough room.

        Args:
            group: The group to place.
            labels: The classes that decide.
            options: The splits that the group may go to.
            later: Number of groups that are placed after this one, by the splits that they may go to.
        """
        options = self._reserve_for_empty(options, later)
        fitting = [split for split in options if self.room[split] >= len(group)]
        fitting = fitting or [max(options, key=lambda split: self.room[split])]
        return max(fitting, key=lambda split: (self._measure_need(group, labels, split), self.room[split]))

    def place(self, group: SampleGroup, split: str) -> None:
        """Put a group into a split."""
        self.room[split] -= len(group)
        self.empty.discard(split)
        for sample in group:
            self.splits[sample.key] = split
            for label in _get_labels(sample):
                self.needs[split][label] -= 1

    def _reserve_for_empty(
        self, options: Sequence[str], later: Mapping[tuple[str, ...], int]
    ) -> Sequence[str]:
        """Return the options after which the fewest splits stay empty, if later groups fill what they can."""
        if not self.empty or len(options) == 1:
            return options
        filled = {
            split: (split in self.empty) + _count_fillable(self.empty - {split}, later) for split in options
        }
        most = max(filled.values())
        return [split for split in options if filled[split] == most]

    def _measure_need(self, group: SampleGroup, labels: frozenset[int], split: str) -> float:
        """Measure how much a split needs classes; in a group, rare classes count as much as common ones."""
        if len(group) == 1:
            return sum(self.needs[split][label] for label in labels)
        total = {label: sum(abs(needs[label]) for needs in self.needs.values()) for label in labels}
        return sum(self.needs[split][label] / max(total[label], 1) for label in labels)


def _count_fillable(empty: Collection[str], groups: Mapping[tuple[str, ...], int]) -> int:
    """Count the empty splits that can get a group each: a maximum matching (Kuhn 1955).

    Args:
        empty: The splits without an image.
        groups: Number of groups, by the splits that they may go to.
    """
    filled: dict[tuple[str, ...], list[str]] = {options: [] for options in groups}

    def fill(split: str, tried: set[tuple[str, ...]]) -> bool:
        for options, number in groups.items():
            if split not in options or options in tried:
                continue
            tried.add(options)
            if len(filled[options]) < number:
                filled[options].append(split)
                return True
            for other in filled[options]:
                if fill(other, tried):
                    filled[options][filled[options].index(other)] = split
                    return True
        return False

    return sum(fill(split, set()) for split in sorted(empty))
