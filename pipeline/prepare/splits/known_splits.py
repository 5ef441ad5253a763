"""Keep images in their earlier splits, and free some of them where a split would be empty.

A source that is a part of an earlier one can hold images of one split alone. Images of test stay there, since
models of earlier runs must not be measured on images of train; the others may move.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

AllowedSplits = Mapping[str, set[str]]
_TEST: Final = "test"


def stratify_known_images(
    stratify: Callable[[AllowedSplits], dict[str, str]], allowed: AllowedSplits, needed: Sequence[str]
) -> dict[str, str]:
    """Assign images to splits; known ones keep theirs, unless a split would then be empty.

    If a split is empty, the images of train are free to go there; if that is not enough, all but those of
    test. Where that leaves another split empty, they are free to go to that one, too.

    Args:
        stratify: Assigns the images, given the splits that known images may go to.
        allowed: The splits that known images may go to, as known from earlier.
        needed: The splits or folds that need an image.

    Returns:
        The split of each image. A split can still be empty: there are too few groups, or too many images of
        test.
    """
    assigned = stratify(allowed)
    movable = {split for splits in allowed.values() for split in splits} - {_TEST}
    wanted: set[str] = set()
    for donors in ({"train"}, *[movable] * len(needed)):
        missing = set(needed) - set(assigned.values())
        if not missing:
            break
        wanted |= missing
        assigned = stratify(_free_images(allowed, donors, wanted))
    return assigned


def count_kept_in_test(known: Mapping[str, str]) -> int:
    """Count the images that an earlier `prepare` put into test."""
    return sum(side == _TEST for side in known.values())


def _free_images(allowed: AllowedSplits, donors: set[str], wanted: set[str]) -> AllowedSplits:
    """Let the images that may go to one of the donors go to the wanted splits and to train, too."""
    more = wanted | {"train"}
    return {key: splits | more if splits & donors else splits for key, splits in allowed.items()}
