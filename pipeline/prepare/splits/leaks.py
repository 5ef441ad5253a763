"""Find leaks: linked images in different splits."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from pipeline.core.paths import SPLITS
from pipeline.core.text import format_count
from pipeline.prepare.splits.groups import ImageLink, LinkReason
from pipeline.prepare.splits.stratify import SplitSample

MAX_NAMED_PAIRS: Final = 3
"""Maximum number of pairs that a message names."""
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
        splits: The split of each image in `links`.
    """

    images: int
    links: tuple[ImageLink, ...]
    splits: Mapping[str, str]


def find_leaks(
    samples: Sequence[SplitSample], assigned: Mapping[str, str], links: Sequence[ImageLink]
) -> SplitLeak:
    """Find linked images in different splits.

    Args:
        samples: The images, with their groups.
        assigned: The split of each.
        links: The links that made the groups.
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
    return SplitLeak(images, tuple(across), assigned)


def describe_leak(leak: SplitLeak) -> str:
    """Describe a leak: number of images, reasons of the links, and the first pairs."""
    counts = Counter(link.why for link in leak.links)
    reasons = ", ".join(
        f"{format_count(counts[why], 'pair')} {words}" for why, words in _REASONS.items() if counts[why]
    )
    pairs = "; ".join(
        f"{link.first} ({leak.splits[link.first]}) and {link.second} ({leak.splits[link.second]})"
        for link in leak.links[:MAX_NAMED_PAIRS]
    )
    more = f"; and {len(leak.links) - MAX_NAMED_PAIRS} more" if len(leak.links) > MAX_NAMED_PAIRS else ""
    images = format_count(leak.images, "image of val or test belongs", "images of val or test belong")
    return (
        f"the split that came with the data leaks: {images} together with "
        f"images of a split that is trained or chosen on ({reasons}): {pairs}{more}"
    )
