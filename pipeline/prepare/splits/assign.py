"""Assign each image to a split: a new split, the completed split of the source, or folds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pipeline.core.errors import UserError
from pipeline.core.paths import SPLITS, SPLITS_LOCK_FILE
from pipeline.core.text import format_count
from pipeline.prepare.splits.known_splits import count_kept_in_test, stratify_known_images
from pipeline.prepare.splits.stratify import (
    SplitSample,
    carve_missing_splits,
    compute_split_sizes,
    stratify_groups,
)

SplitShares = Mapping[str, float]
SplitAssignment = dict[str, str]


def assign_splits(
    samples: Sequence[SplitSample], weights: SplitShares, *, seed: int, known: Mapping[str, str] | None = None
) -> SplitAssignment:
    """Assign images to new splits: seeded, stratified by class, each group in one split.

    Args:
        samples: The images.
        weights: Relative weight of each split.
        seed: Seed of the order among equals.
        known: The earlier split of some images, or their fold: any split but test. They keep it, unless a
            split would have no image.

    Raises:
        UserError: There are fewer images, or groups of them, than splits; or too many are kept in test.
    """
    if len(samples) < len(weights):
        raise UserError(
            f"{format_count(len(samples), 'usable image is', 'usable images are')} too few: "
            f"{', '.join(weights)} need one each; check data.source, or add images"
        )
    sizes = compute_split_sizes(len(samples), weights)
    assigned = stratify_known_images(
        lambda allowed: stratify_groups(samples, sizes, seed=seed, allowed=allowed),
        _list_allowed_splits(known),
        tuple(weights),
    )
    if empty := find_missing_splits(assigned, weights):
        groups = _count_groups(samples)
        if groups >= len(weights):
            raise _build_kept_in_test_error(empty, known)
        raise UserError(
            f"no images for {' and '.join(empty)}: the {len(samples)} images are "
            f"{format_count(groups, 'group')}, and each group "
            "stays in one split; change data.group_by or data.near_duplicates, or add images"
        )
    return assigned


def complete_source_splits(
    given: SplitAssignment,
    samples: Sequence[SplitSample],
    weights: SplitShares,
    *,
    seed: int,
    known: Mapping[str, str] | None = None,
) -> SplitAssignment:
    """Keep the splits of the source; take images for a missing val or test from train.

    Args:
        given: The split of each sample's key.
        samples: The images.
        weights: Relative weight of each split.
        seed: Seed of the order among equals.
        known: The earlier split of images of train, which they keep, unless a split would have no image.

    Raises:
        UserError: There is no train split, or it is too small, or too many of its images are kept in test.
    """
    missing = find_missing_splits(given, weights)
    if "train" not in given.values():
        raise UserError(
            f"the source has only {' and '.join(sorted(set(given.values())))} images, no train: "
            f"{_advise_new_split(samples, weights)}"
        )
    train = [sample for sample in samples if given[sample.key] == "train"]
    groups = _count_groups(train)
    if groups <= len(missing):
        count = (
            format_count(groups, "image")
            if groups == len(train)
            else f"{format_count(groups, 'group')} of images"
        )
        raise UserError(
            f"train has only {count}, too few to take {' and '.join(missing)} from it: "
            f"{_advise_new_split(samples, weights)}"
        )
    assigned = stratify_known_images(
        lambda allowed: carve_missing_splits(given, samples, weights, seed=seed, allowed=allowed),
        _list_allowed_splits(known),
        ("train", *missing),
    )
    if empty := find_missing_splits(assigned, weights):
        raise _build_kept_in_test_error(empty, known)
    return assigned


def assign_folds(
    assigned: SplitAssignment,
    samples: Sequence[SplitSample],
    *,
    folds: int,
    seed: int,
    known: Mapping[str, str] | None = None,
) -> SplitAssignment:
    """Assign the images of train and val to folds; test stays as it is.

    Args:
        assigned: The split of each sample's key.
        samples: The images.
        folds: Number of folds.
        seed: Seed of the order among equals.
        known: The earlier fold of some images.

    Returns:
        For each key `test`, or the number of its fold.

    Raises:
        UserError: There are fewer groups of images than folds.
    """
    pool = [sample for sample in samples if assigned[sample.key] != "test"]
    groups = _count_groups(pool)
    if groups < folds:
        raise UserError(
            f"data.folds={folds} is too many for {format_count(groups, 'group')} of images outside of test"
            f"{_describe_images_kept_in_test(known)}"
        )
    weights = {str(number): 1.0 for number in range(folds)}
    earlier = {key: {fold} for key, fold in (known or {}).items() if fold in weights}
    sizes = compute_split_sizes(len(pool), weights)
    folded = stratify_known_images(
        lambda allowed: stratify_groups(pool, sizes, seed=seed, allowed=allowed), earlier, tuple(weights)
    )
    return {key: folded.get(key, "test") for key in assigned}


def select_fold(folded: SplitAssignment, fold: int) -> SplitAssignment:
    """Turn numbers of folds into splits: one fold is val, the others are train."""
    val = str(fold)
    return {
        key: side if side == "test" else "val" if side == val else "train" for key, side in folded.items()
    }


def find_missing_splits(assigned: SplitAssignment, weights: SplitShares) -> list[str]:
    """List the splits without an image."""
    present = set(assigned.values())
    return [split for split in weights if split not in present]


def _advise_new_split(samples: Sequence[SplitSample], weights: SplitShares) -> str:
    """Return what to do about a split of the source that cannot be completed: a new one needs images, too."""
    if _count_groups(samples) < len(weights):
        return f"add images, at least one each for {', '.join(weights)}, that are no copies of others"
    return "set data.keep_split=false to split all images again"


def _count_groups(samples: Sequence[SplitSample]) -> int:
    return len({sample.group for sample in samples})


def _build_kept_in_test_error(empty: Sequence[str], known: Mapping[str, str] | None) -> UserError:
    """Return an error: splits are empty, because an earlier `prepare` put too many images into test."""
    return UserError(f"no images for {' and '.join(empty)}{_describe_images_kept_in_test(known)}")


def _describe_images_kept_in_test(known: Mapping[str, str] | None) -> str:
    """Return how many images are kept in test, and what to do about it; empty if there are none."""
    number = count_kept_in_test(known or {})
    if not number:
        return ""
    return (
        f": {format_count(number, 'image is', 'images are')} kept in test by the split of the last prepare "
        f"({SPLITS_LOCK_FILE}); set data.seed to another number to split all images anew, or add images"
    )


def _list_allowed_splits(known: Mapping[str, str] | None) -> dict[str, set[str]]:
    """Return the splits that known images may go to: their own split; for a fold, train and val."""
    return {key: {side} if side in SPLITS else {"train", "val"} for key, side in (known or {}).items()}
