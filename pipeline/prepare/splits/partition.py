"""Split a dataset: group linked images, make or complete splits, find leaks, assign folds, keep a history."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple, Protocol

import numpy as np

from pipeline.core.errors import UserError
from pipeline.core.text import format_count
from pipeline.prepare.duplicates.search import (
    NO_THUMBNAILS,
    DuplicatePairs,
    ThumbnailArray,
    ThumbnailSubset,
    TooManyPairsError,
    find_near_duplicates,
)
from pipeline.prepare.splits.assign import (
    assign_folds,
    assign_splits,
    complete_source_splits,
    find_missing_splits,
    select_fold,
)
from pipeline.prepare.splits.groups import (
    ImageLink,
    LinkReason,
    describe_pair_overflow,
    describe_static_scene,
    group_linked_images,
    link_equal_images,
    link_named_groups,
    list_groups,
    suggest_grouping,
)
from pipeline.prepare.splits.history import SplitHistory, select_terms, shorten_hash
from pipeline.prepare.splits.kept_images import (
    describe_kept_images,
    describe_lost_test,
    describe_overridden_splits,
    describe_small_splits,
)
from pipeline.prepare.splits.leaks import SplitLeak, build_leak_error, describe_leak, find_leaks
from pipeline.prepare.splits.stratify import SplitSample
from pipeline.prepare.splits.train_subset import reduce_train_split

UNLISTED_REASON: Final = "in none of the splits that came with the data (data.keep_split=false would use it)"
"""Reason of the finding for an image that the source's split does not list."""


class SplitImage(NamedTuple):
    """An image to be assigned to a split.

    Attributes:
        key: Its path in the source.
        sha256: Hash of its contents.
        split: Its split in the source; None if the source has none for it.
        classes: Class indices of its objects.
        columns: Its table row, by column.
        thumbnail: Row of its thumbnail; None without a thumbnail.
        origin: The name of its source, where there are several.
    """

    key: str
    sha256: str
    split: str | None
    classes: frozenset[int]
    columns: Mapping[str, str] = {}
    thumbnail: int | None = None
    origin: str = ""


class SplitRules(NamedTuple):
    """The keys of conf/data that decide the split, with their own names."""

    split: Mapping[str, float]
    keep_split: bool
    group_by: str | None
    near_duplicates: bool
    on_leak: str
    folds: int | None
    fold: int
    seed: int
    fraction: float = 1.0
    fraction_seed: int = 0


class DuplicateFinder(Protocol):
    """Find near duplicates among thumbnails."""

    def __call__(self, thumbnails: ThumbnailArray, hashes: Sequence[str], /) -> DuplicatePairs:
        """Return the pairs; the hashes are those of the images, ascending."""


class SplitResult(NamedTuple):
    """The outcome of a split.

    Attributes:
        splits: The split of each image; images that the source's split does not list are absent, and those
            of `outside`.
        remarks: What the user should know, a sentence each.
        duplicate_groups: Groups of equal images and near duplicates, the largest first.
        leak: Number of images of val and test that are linked to an image of an earlier split.
        history: The assignment, from which the next one starts.
        groups: The group of each image, named after its first image: near copies, and named groups.
        outside: The train images that data.fraction leaves out.
    """

    splits: dict[str, str]
    remarks: list[str]
    duplicate_groups: list[list[str]]
    leak: int
    history: SplitHistory
    groups: Mapping[str, str] = {}
    outside: frozenset[str] = frozenset()


def _search_without_cache(thumbnails: ThumbnailArray, _hashes: Sequence[str], /) -> DuplicatePairs:
    return find_near_duplicates(thumbnails)


def split_dataset(
    images: Sequence[SplitImage],
    rules: SplitRules,
    history: SplitHistory,
    *,
    thumbnails: ThumbnailArray = NO_THUMBNAILS,
    search: DuplicateFinder = _search_without_cache,
) -> SplitResult:
    """Assign images to train, val and test.

    Args:
        images: The images; at least one.
        rules: The settings.
        history: The earlier assignment.
        thumbnails: Thumbnails of the images, for the search of near duplicates.
        search: Finds near duplicates; it may have a cache.

    Raises:
        UserError: The split is not possible, or the source's split leaks and `on_leak` is refuse.
    """
    given = {image.key: image.split for image in images if image.split} if rules.keep_split else {}
    used = [image for image in images if not given or image.key in given]
    duplicate_links = link_duplicates(used, rules, thumbnails, search)
    named_links, remarks = _link_groups(used, rules)
    keys = [image.key for image in used]
    duplicate_groups = list_groups(group_linked_images(keys, duplicate_links))
    groups = group_linked_images(keys, [*duplicate_links, *named_links])
    samples = [SplitSample(image.key, groups[image.key], image.classes) for image in used]
    assignable = [image for image in used if not given or given[image.key] == "train"]
    known = _find_known_splits(assignable, history)
    scene = ""
    if rules.near_duplicates:
        scene = describe_static_scene(duplicate_groups, len(used), is_split=bool(given))
    try:
        assigned, notes = _assign(given, samples, rules, known)
        leak = find_leaks(samples, assigned, [*duplicate_links, *named_links], given)
        notes += _check_leak(leak, rules, can_split_again=len(set(groups.values())) >= len(rules.split))
        folded = _assign_folds(assigned, samples, rules, known) if rules.folds else assigned
        subset = reduce_train_split(
            folded if rules.folds is None else select_fold(folded, rules.fold),
            samples,
            rules.fraction,
            seed=rules.fraction_seed,
        )
    except UserError as error:
        raise (UserError(*str(error).split("\n  "), scene) if scene else error) from None
    notes += [
        *describe_overridden_splits(given, assigned),
        *describe_kept_images(known, folded, groups, new=len(assignable) - len(known)),
        *describe_lost_test(history.sides, [shorten_hash(image.sha256) for image in used]),
    ]
    notes += [] if given or rules.folds else describe_small_splits(known, assigned, groups, rules.split)
    remarks = [*_count_duplicates(duplicate_links, duplicate_groups), *filter(None, [scene]), *remarks]
    return SplitResult(
        splits=subset.splits,
        remarks=[*remarks, *notes, *subset.remarks],
        duplicate_groups=_keep_groups(duplicate_groups, subset.outside),
        leak=leak.images,
        history=SplitHistory(_select_terms(rules), rules.folds, _update_history(history, assignable, folded)),
        groups=groups,
        outside=subset.outside,
    )


def _keep_groups(groups: list[list[str]], outside: frozenset[str]) -> list[list[str]]:
    """Return the groups that are left without some images, those of more than one."""
    if not outside:
        return groups
    left = ([key for key in group if key not in outside] for group in groups)
    return sorted((group for group in left if len(group) > 1), key=lambda group: (-len(group), group))


def link_duplicates(
    images: Sequence[SplitImage], rules: SplitRules, thumbnails: ThumbnailArray, search: DuplicateFinder
) -> list[ImageLink]:
    """Link equal images and near duplicates; a UserError says that too many look alike to compare them."""
    links = link_equal_images({image.key: image.sha256 for image in images})
    distinct = {image.sha256: image for image in images if image.thumbnail is not None}
    if not rules.near_duplicates or not distinct:
        return links
    hashes = sorted(distinct)  # by hash, so that new images do not change which image of a pair is first
    searched = [distinct[sha256] for sha256 in hashes]
    rows = np.array([image.thumbnail for image in searched], np.int64)
    try:
        pairs = search(ThumbnailSubset(thumbnails, rows), hashes)
    except TooManyPairsError as error:
        raise UserError(describe_pair_overflow(error.args[0])) from None
    indices = zip(pairs.first.tolist(), pairs.second.tolist(), strict=True)
    keys = (sorted([searched[first].key, searched[second].key]) for first, second in indices)
    return links + sorted(ImageLink(first, second, "near") for first, second in keys)


def _link_groups(images: Sequence[SplitImage], rules: SplitRules) -> tuple[list[ImageLink], list[str]]:
    """Link the images of named groups; return remarks too."""
    if rules.group_by is None:
        return [], suggest_grouping(image.key for image in images)
    columns = {image.key: image.columns for image in images}
    return link_named_groups(rules.group_by, columns, {image.key: image.origin for image in images})


def _find_known_splits(images: Sequence[SplitImage], history: SplitHistory) -> dict[str, str]:
    """Return the earlier split of each image that has one."""
    sides = ((image.key, history.sides.get(shorten_hash(image.sha256))) for image in images)
    return {key: side for key, side in sides if side}


def _assign(
    given: dict[str, str], samples: Sequence[SplitSample], rules: SplitRules, known: Mapping[str, str]
) -> tuple[dict[str, str], list[str]]:
    """Make new splits, or complete those of the source; return remarks too."""
    if not given:
        return assign_splits(samples, rules.split, seed=rules.seed, known=known), []
    assigned = complete_source_splits(given, samples, rules.split, seed=rules.seed, known=known)
    missing = find_missing_splits(given, rules.split)
    if not missing:
        return assigned, []
    return assigned, [f"the source has no {' and no '.join(missing)} split: carved out of train"]


def _check_leak(leak: SplitLeak, rules: SplitRules, *, can_split_again: bool) -> list[str]:
    """Return a remark if the source's split leaks.

    Raises:
        UserError: It leaks, and `on_leak` is refuse.
    """
    if leak.images and rules.on_leak == "refuse":
        raise build_leak_error(leak, can_split_again=can_split_again)
    return [describe_leak(leak)] if leak.images else []


def _assign_folds(
    assigned: dict[str, str], samples: Sequence[SplitSample], rules: SplitRules, known: Mapping[str, str]
) -> dict[str, str]:
    return assign_folds(assigned, samples, folds=rules.folds or 0, seed=rules.seed, known=known)


def _update_history(
    history: SplitHistory, assignable: Sequence[SplitImage], folded: Mapping[str, str]
) -> dict[str, str]:
    """Return the splits to remember: not those that the source gives; of equal images, test wins.

    Args:
        history: The earlier assignment. Its images that are absent now may come back, and the source may
            stop to give a split to others: both keep their entry.
        assignable: The images that the source leaves to us: its train images can have been carved out.
        folded: The split or fold of each.
    """
    ordered = sorted(assignable, key=lambda image: folded[image.key] == "test")
    return history.sides | {shorten_hash(image.sha256): folded[image.key] for image in ordered}


def _select_terms(rules: SplitRules) -> dict[str, Any]:
    return select_terms({**rules._asdict(), "split": dict(rules.split)})


def _count_duplicates(links: Sequence[ImageLink], groups: Sequence[Sequence[str]]) -> list[str]:
    """Return remarks on the number of duplicates and the largest group."""
    counts = Counter(link.why for link in links)
    words: dict[LinkReason, tuple[str, str]] = {
        "near": ("pair of near copies", "pairs of near copies"),
        "equal": ("image equals another one byte for byte", "images equal another one byte for byte"),
    }
    counted = [format_count(counts[why], *words[why]) for why in words if counts[why]]
    if not counted:
        return []
    return [*counted[:-1], f"{counted[-1]}; the largest group has {len(groups[0])} images"]
