"""Which split each image goes to: the source's own, completed where something is missing, or a new one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from pipeline.core.errors import UserError
from pipeline.core.paths import SPLITS
from pipeline.core.text import format_count
from pipeline.prepare.splits import stratify
from pipeline.prepare.splits.stratify import SplitSample

SplitShares = Mapping[str, float]
SplitAssignment = dict[str, str]


def divide(
    samples: Sequence[SplitSample], weights: SplitShares, *, seed: int, known: Mapping[str, str] | None = None
) -> SplitAssignment:
    """Make a split: seeded, stratified by class, groups on one side, known images where they were.

    Args:
        samples: The images.
        weights: Relative weight of each split.
        seed: Of the order among equals.
        known: The side of some images from earlier: a split, or a fold, which is anything but test.

    Raises:
        Refused: There are fewer images, or groups of them, than splits.
    """
    if len(samples) < len(weights):
        raise UserError(
            f"{format_count(len(samples), 'usable image is', 'usable images are')} too few: "
            f"{', '.join(weights)} need one each; "
            "data/prepared was left as it is, so look for what is wrong in data.source"
        )
    wanted = stratify.sizes(len(samples), weights)
    divided = stratify.divide(samples, wanted, seed=seed, allowed=_allowed(known))
    if empty := missing(divided, weights):
        groups = len({sample.group for sample in samples})
        raise UserError(
            f"nothing is left for {' and '.join(empty)}: {len(samples)} images are "
            f"{format_count(groups, 'group')}, not to be torn apart; "
            "set data.group_by or data.near_duplicates otherwise, or add images"
        )
    return divided


def keep(
    given: SplitAssignment,
    samples: Sequence[SplitSample],
    weights: SplitShares,
    *,
    seed: int,
    known: Mapping[str, str] | None = None,
) -> SplitAssignment:
    """Keep the split that came with the data; a missing val or test is carved out of train.

    Args:
        given: The split of each sample's key.
        samples: The images.
        weights: Relative weight of each split.
        seed: Of the order among equals.
        known: Where images of train went earlier.

    Raises:
        Refused: There is no train split, or it is too small to carve from.
    """
    have = Counter(given.values())
    short = missing(given, weights)
    if not have["train"]:
        only = " and ".join(sorted(have))
        raise UserError(
            f"the source has only {only} images, no train: set data.keep_split=false to divide it anew"
        )
    groups = len({sample.group for sample in samples if given[sample.key] == "train"})
    if groups <= len(short):
        alone = groups == have["train"]
        few = (
            format_count(groups, "train image")
            if alone
            else format_count(groups, "group") + " of train images"
        )
        raise UserError(
            f"train is too small to carve {' and '.join(short)} out of it, {few}: "
            "set data.keep_split=false to divide all images anew"
        )
    return stratify.complete(given, samples, weights, seed=seed, allowed=_allowed(known))


def fold(
    divided: SplitAssignment,
    samples: Sequence[SplitSample],
    *,
    folds: int,
    seed: int,
    known: Mapping[str, str] | None = None,
) -> SplitAssignment:
    """Deal the images of train and val out to folds; test stays as it is.

    Args:
        divided: The split of each sample's key.
        samples: The images.
        folds: How many.
        seed: Of the order among equals.
        known: The fold of some images from earlier.

    Returns:
        `test`, or the number of the fold, of each key.

    Raises:
        Refused: There are fewer groups of images than folds.
    """
    pool = [sample for sample in samples if divided[sample.key] != "test"]
    groups = len({sample.group for sample in pool})
    if groups < folds:
        raise UserError(
            f"data.folds={folds} is too many for {format_count(groups, 'group')} of images outside of test"
        )
    names = {str(number): 1.0 for number in range(folds)}
    earlier = {key: {side} for key, side in (known or {}).items() if side in names}
    dealt = stratify.divide(pool, stratify.sizes(len(pool), names), seed=seed, allowed=earlier)
    return {key: dealt.get(key, "test") for key in divided}


def missing(given: SplitAssignment, weights: SplitShares) -> list[str]:
    """List the splits without an image."""
    have = set(given.values())
    return [split for split in weights if split not in have]


def _allowed(known: Mapping[str, str] | None) -> dict[str, set[str]]:
    """Return the splits open to known images: their own; to one of a fold, all but test."""
    return {key: {side} if side in SPLITS else {"train", "val"} for key, side in (known or {}).items()}
