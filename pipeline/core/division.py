"""Which split each image goes to: the source's own, completed where something is missing, or a new one."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from pipeline.core import splits
from pipeline.core.refusal import Refused
from pipeline.core.splits import Sample

Weights = Mapping[str, float]
Splits = dict[str, str]


def divide(samples: Sequence[Sample], weights: Weights, *, seed: int) -> Splits:
    """Make a split: seeded, stratified by class, equal images on one side.

    Raises:
        Refused: There are fewer images than splits.
    """
    if len(samples) < len(weights):
        raise Refused(
            f"{len(samples)} usable images are too few: {', '.join(weights)} need one each; "
            "data/prepared was left as it is, so look for what is wrong in data.source"
        )
    return splits.divide(samples, splits.sizes(len(samples), weights), seed=seed)


def keep(given: Splits, samples: Sequence[Sample], weights: Weights, *, seed: int) -> Splits:
    """Keep the split that came with the data; a missing val or test is carved out of train.

    Args:
        given: The split of each sample's key.
        samples: The images.
        weights: Relative weight of each split.
        seed: Of the order among equals.

    Raises:
        Refused: There is no train split, or it is too small to carve from.
    """
    have = Counter(given.values())
    short = missing(given, weights)
    if not have["train"]:
        only = " and ".join(sorted(have))
        raise Refused(
            f"the source has only {only} images, no train: set data.keep_split=false to divide it anew"
        )
    if have["train"] <= len(short):
        raise Refused(
            f"{have['train']} train images are too few to carve {' and '.join(short)} out of them: "
            "set data.keep_split=false to divide all images anew"
        )
    return splits.complete(given, samples, weights, seed=seed)


def missing(given: Splits, weights: Weights) -> list[str]:
    """List the splits without an image."""
    have = set(given.values())
    return [split for split in weights if split not in have]


def straddling(samples: Sequence[Sample], divided: Splits) -> int:
    """Count the groups of equal images that lie on more than one side."""
    sides: dict[str, set[str]] = defaultdict(set)
    for sample in samples:
        sides[sample.group].add(divided[sample.key])
    return sum(len(found) > 1 for found in sides.values())
