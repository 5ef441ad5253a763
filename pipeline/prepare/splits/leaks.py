"""Find leaks: linked images in different splits."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from pipeline.core.errors import UserError
from pipeline.core.paths import SPLITS
from pipeline.core.text import format_count
from pipeline.prepare.splits.groups import ImageLink, LinkReason
from pipeline.prepare.splits.stratify import SplitSample

MAX_NAMED_PAIRS: Final = 3
"""Maximum number of pairs that a message names."""
_MAX_LINE_LENGTH: Final = 160
"""Pairs are named up to this length of the line, the first one always."""
_MAX_PATH_LENGTH: Final = 60
_REASONS: Final[dict[LinkReason, str]] = {
    "equal": "byte for byte",
    "near": "as near copies",
    "named": "by data.group_by",
}


class SplitLeak(NamedTuple):
    """Linked images in different splits.

    Attributes:
        images: Number of images of val and test that are linked to one of an earlier split, as val to train.
        links: The links across splits, each with the image of the later split first; equal files first.
        splits: For people, the split of each image, such as `test`, or `train, carved out for test`.
    """

    images: int
    links: tuple[ImageLink, ...]
    splits: Mapping[str, str]


def find_leaks(
    samples: Sequence[SplitSample],
    assigned: Mapping[str, str],
    links: Sequence[ImageLink],
    given: Mapping[str, str] | None = None,
) -> SplitLeak:
    """Find linked images in different splits.

    Args:
        samples: The images, with their groups.
        assigned: The split of each.
        links: The links that made the groups.
        given: The split of each in the source; images of train may be carved out for val or test.
    """
    rank = {sample.key: SPLITS.index(assigned[sample.key]) for sample in samples}
    lowest: dict[str, int] = defaultdict(lambda: len(SPLITS))
    for sample in samples:
        lowest[sample.group] = min(lowest[sample.group], rank[sample.key])
    images = sum(rank[sample.key] > lowest[sample.group] for sample in samples)
    across = [
        link if rank[link.first] > rank[link.second] else ImageLink(link.second, link.first, link.why)
        for link in links
        if rank[link.first] != rank[link.second]
    ]
    order = list(_REASONS)
    across.sort(key=lambda link: (order.index(link.why), link))
    return SplitLeak(images, tuple(across), _describe_given_splits(assigned, given or {}))


def describe_leak(leak: SplitLeak) -> str:
    """Describe a leak on one line: number of images, reasons of the links, and the first pairs."""
    return f"{_count_leak(leak)}: {_name_pairs(leak)}"


def build_leak_error(leak: SplitLeak, *, can_split_again: bool = True) -> UserError:
    """Return the refusal of a leak, in three lines: how large it is, the first pairs, what to do.

    Args:
        leak: The leak.
        can_split_again: Whether there are enough groups of images for a new split.
    """
    again = "set data.keep_split=false to split all images again, or " if can_split_again else "set "
    return UserError(
        _count_leak(leak),
        _name_pairs(leak),
        f"remove one of each pair from the source, or {again}data.on_leak=allow to go on and record the leak",
    )


def _describe_given_splits(assigned: Mapping[str, str], given: Mapping[str, str]) -> dict[str, str]:
    return {
        key: split if given.get(key, split) == split else f"{given[key]}, carved out for {split}"
        for key, split in assigned.items()
    }


def _count_leak(leak: SplitLeak) -> str:
    counts = Counter(link.why for link in leak.links)
    reasons = ", ".join(
        f"{format_count(counts[why], 'pair')} {words}" for why, words in _REASONS.items() if counts[why]
    )
    images = format_count(leak.images, "image of val or test belongs", "images of val or test belong")
    return (
        f"the split that came with the data leaks: {images} together with images of another split ({reasons})"
    )


def _name_pairs(leak: SplitLeak) -> str:
    """Name the first pairs, as many as fit on a line."""
    named = ""
    for number, link in enumerate(leak.links):
        first, second = (f"{_shorten_path(key)} ({leak.splits[key]})" for key in (link.first, link.second))
        longer = f"{named}; {first} and {second}" if named else f"{first} and {second}"
        if number == MAX_NAMED_PAIRS or (named and len(longer) > _MAX_LINE_LENGTH):
            return f"{named}; and {format_count(len(leak.links) - number, 'more pair')}"
        named = longer
    return named


def _shorten_path(path: str) -> str:
    return path if len(path) <= _MAX_PATH_LENGTH else f"...{path[3 - _MAX_PATH_LENGTH :]}"
