"""All about which side an image goes to: what belongs together, what came with the data, what went before."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple, Protocol

import numpy as np

from pipeline.core.errors import UserError
from pipeline.core.text import format_count
from pipeline.prepare.duplicates import search as duplicates_search
from pipeline.prepare.duplicates.budget import TooManyPairsError
from pipeline.prepare.duplicates.search import NONE, DuplicatePairs, ThumbnailArray, ThumbnailSubset
from pipeline.prepare.splits import assign, leaks
from pipeline.prepare.splits import groups as splits_groups
from pipeline.prepare.splits import history as core_earlier
from pipeline.prepare.splits.groups import ImageLink, LinkReason, one_scene
from pipeline.prepare.splits.history import REST, SplitHistory, terms_of
from pipeline.prepare.splits.leaks import SplitLeak
from pipeline.prepare.splits.stratify import SplitSample

UNLISTED: Final = "in none of the splits that came with the data (data.keep_split=false would use it)"
"""What is said of an image that a kept split does not list."""


class SplitImage(NamedTuple):
    """An image to be divided.

    Attributes:
        key: Its path in the source.
        sha256: Of its contents.
        split: Where the source puts it; None where it does not say.
        classes: Class indices of its objects.
        columns: What a table says of it.
        thumbnail: Which of the thumbnails is its own; None where it has none.
    """

    key: str
    sha256: str
    split: str | None
    classes: frozenset[int]
    columns: Mapping[str, str] = {}
    thumbnail: int | None = None


class SplitRules(NamedTuple):
    """The keys of conf/data that decide, under their own names."""

    split: Mapping[str, float]
    keep_split: bool
    group_by: str | None
    near_duplicates: bool
    on_leak: str
    folds: int | None
    fold: int
    seed: int


class DuplicateFinder(Protocol):
    """Find near copies among thumbnails."""

    def __call__(self, thumbnails: ThumbnailArray, hashes: Sequence[str], /) -> DuplicatePairs:
        """Return the pairs; the hashes are those of the images, ascending."""


class SplitResult(NamedTuple):
    """What became of the images.

    Attributes:
        splits: The split of each image; those that a kept split does not list are absent.
        remarks: What a user should know, a sentence each.
        copies: Groups of equal or nearly equal images, the largest first.
        leak: Number of images of val and test that are known from a split less held out.
        earlier: The division, for the next one to go on from.
    """

    splits: dict[str, str]
    remarks: list[str]
    copies: list[list[str]]
    leak: int
    earlier: SplitHistory


def _afresh(thumbnails: ThumbnailArray, _hashes: Sequence[str], /) -> DuplicatePairs:
    return duplicates_search.find(thumbnails)


def partition(
    entries: Sequence[SplitImage],
    rules: SplitRules,
    before: SplitHistory,
    *,
    thumbnails: ThumbnailArray = NONE,
    search: DuplicateFinder = _afresh,
) -> SplitResult:
    """Divide images.

    Args:
        entries: The images; at least one.
        rules: How.
        before: What an earlier division decided.
        thumbnails: By which near copies are found.
        search: Finds them; it may know some from earlier.

    Raises:
        Refused: It cannot be done, or a split that came with the data leaks and `on_leak` is refuse.
    """
    given = {entry.key: entry.split for entry in entries if entry.split} if rules.keep_split else {}
    chosen = [entry for entry in entries if not given or entry.key in given]
    copied = _copies(chosen, rules, thumbnails, search)
    named, remarks = _named(chosen, rules)
    keys = [entry.key for entry in chosen]
    copies = splits_groups.members(splits_groups.connect(keys, copied))
    groups = splits_groups.connect(keys, [*copied, *named])
    samples = [SplitSample(entry.key, groups[entry.key], entry.classes) for entry in chosen]
    ours = [entry for entry in chosen if not given or given[entry.key] == "train"]
    known = _known(ours, before)
    scene = one_scene(copies, len(chosen)) if rules.near_duplicates else ""
    try:
        divided, said = _divide(given, samples, rules, known)
        leak = leaks.find(samples, divided, [*copied, *named])
        said += _leaking(leak, rules)
        folded = _fold(divided, samples, rules, known) if rules.folds else divided
    except UserError as refused:
        raise (UserError(f"{refused}; {scene}") if scene else refused) from None
    said += _remembered(known, folded, new=len(ours) - len(known))
    after = SplitHistory(_terms(rules), rules.folds, _after(before, chosen, ours, folded))
    return SplitResult(
        splits=_named_splits(folded, rules),
        remarks=[*_copied(copied, copies), *filter(None, [scene]), *remarks, *said],
        copies=copies,
        leak=leak.images,
        earlier=after,
    )


def _copies(
    chosen: Sequence[SplitImage], rules: SplitRules, thumbnails: ThumbnailArray, search: DuplicateFinder
) -> list[ImageLink]:
    """Link equal images and near copies."""
    links = splits_groups.equal({entry.key: entry.sha256 for entry in chosen})
    different = {entry.sha256: entry for entry in chosen if entry.thumbnail is not None}
    if not rules.near_duplicates or not different:
        return links
    hashes = sorted(different)  # so that images which come later do not change which of two stands first
    looked = [different[sha256] for sha256 in hashes]
    rows = np.array([entry.thumbnail for entry in looked], np.int64)
    try:
        found = search(ThumbnailSubset(thumbnails, rows), hashes)
    except TooManyPairsError as crowd:
        raise UserError(splits_groups.crowded(crowd.args[0])) from None
    pairs = zip(found.first.tolist(), found.second.tolist(), strict=True)
    named = (sorted([looked[one].key, looked[other].key]) for one, other in pairs)
    return links + sorted(ImageLink(one, other, "near") for one, other in named)


def _named(chosen: Sequence[SplitImage], rules: SplitRules) -> tuple[list[ImageLink], list[str]]:
    if rules.group_by is None:
        return [], splits_groups.suspects(entry.key for entry in chosen)
    return splits_groups.named(rules.group_by, {entry.key: entry.columns for entry in chosen})


def _known(ours: Sequence[SplitImage], before: SplitHistory) -> dict[str, str]:
    """Return the earlier side of each image that has one."""
    sides = ((entry.key, before.sides.get(core_earlier.short(entry.sha256))) for entry in ours)
    return {key: side for key, side in sides if side}


def _divide(
    given: dict[str, str], samples: Sequence[SplitSample], rules: SplitRules, known: Mapping[str, str]
) -> tuple[dict[str, str], list[str]]:
    if not given:
        return assign.divide(samples, rules.split, seed=rules.seed, known=known), []
    divided = assign.keep(given, samples, rules.split, seed=rules.seed, known=known)
    short = assign.missing(given, rules.split)
    return divided, [
        f"the source has no {' and no '.join(short)} split: carved out of train"
    ] if short else []


def _leaking(leak: SplitLeak, rules: SplitRules) -> list[str]:
    """Say what lies on several sides of a split that came with the data, or stop there."""
    if leak.images and rules.on_leak == "refuse":
        raise UserError(
            f"{leaks.say(leak)}; take one of each out of the source, set data.keep_split=false to divide "
            "anew, or data.on_leak=allow to go on with a run that says so"
        )
    return [leaks.say(leak)] if leak.images else []


def _fold(
    divided: dict[str, str], samples: Sequence[SplitSample], rules: SplitRules, known: Mapping[str, str]
) -> dict[str, str]:
    return assign.fold(divided, samples, folds=rules.folds or 0, seed=rules.seed, known=known)


def _named_splits(folded: Mapping[str, str], rules: SplitRules) -> dict[str, str]:
    """Turn numbers of folds into splits: one is val, the others are train."""
    if rules.folds is None:
        return dict(folded)
    val = str(rules.fold)
    return {
        key: side if side == "test" else "val" if side == val else "train" for key, side in folded.items()
    }


def _remembered(known: Mapping[str, str], folded: Mapping[str, str], *, new: int) -> list[str]:
    """Say what an earlier division decided, and which images had to leave their side nevertheless."""
    if not known:
        return []
    moved = [key for key, side in known.items() if side != REST and folded[key] != side]
    stayed = format_count(len(known) - len(moved), "image stays", "images stay")
    stay = f"{stayed} on the earlier side, {format_count(new, 'new one is', 'new ones are')} dealt out"
    if not moved:
        return [stay]
    return [
        stay,
        f"{format_count(len(moved), 'image moves', 'images move')}, tied by new ones to images more held out"
        f": {min(moved)}{', ...' if len(moved) > 1 else ''}",
    ]


def _after(
    before: SplitHistory, chosen: Sequence[SplitImage], ours: Sequence[SplitImage], folded: Mapping[str, str]
) -> dict[str, str]:
    """Return what is to be remembered: not what the data say themselves; of equal images the held-out one.

    Args:
        before: What was remembered so far; images that are gone may come back.
        chosen: All images.
        ours: Those whose side the data leave to us: what came as train can have been carved out.
        folded: The split or fold of each.
    """
    stated = {core_earlier.short(entry.sha256) for entry in chosen}
    kept = {key: side for key, side in before.sides.items() if key not in stated}
    ordered = sorted(ours, key=lambda entry: folded[entry.key] == "test")
    return kept | {core_earlier.short(entry.sha256): folded[entry.key] for entry in ordered}


def _terms(rules: SplitRules) -> dict[str, Any]:
    return terms_of({**rules._asdict(), "split": dict(rules.split)})


def _copied(links: Sequence[ImageLink], copies: Sequence[Sequence[str]]) -> list[str]:
    tally = Counter(link.why for link in links)
    found: dict[LinkReason, tuple[str, str]] = {
        "near": ("pair of near copies", "pairs of near copies"),
        "equal": ("image equals another one byte for byte", "images equal another one byte for byte"),
    }
    said = [format_count(tally[why], *words) for why, words in found.items() if tally[why]]
    return [*said[:-1], f"{said[-1]}; the largest group has {len(copies[0])} images"] if said else []
