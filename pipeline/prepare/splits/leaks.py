"""What belongs together and yet lies on several sides of a split."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from pipeline.core.paths import SPLITS
from pipeline.core.text import format_count
from pipeline.prepare.splits.groups import ImageLink, LinkReason
from pipeline.prepare.splits.stratify import SplitSample

SHOWN: Final = 3
"""Pairs that are named."""
_WHY: Final[dict[LinkReason, str]] = {
    "equal": "byte for byte",
    "near": "as near copies",
    "named": "by data.group_by",
}


class SplitLeak(NamedTuple):
    """What lies on several sides of a split.

    Attributes:
        images: Number of images of val and test that belong together with one of a split less held out.
        links: What ties images across splits, the more held out first; byte for byte equal ones first.
        splits: The split of each image in `links`.
    """

    images: int
    links: tuple[ImageLink, ...]
    splits: Mapping[str, str]


def find(samples: Sequence[SplitSample], divided: Mapping[str, str], links: Sequence[ImageLink]) -> SplitLeak:
    """Find what belongs together and yet lies on several sides.

    Args:
        samples: The images, with their groups.
        divided: The split of each.
        links: What made the groups.
    """
    rank = {sample.key: SPLITS.index(divided[sample.key]) for sample in samples}
    lowest: dict[str, int] = defaultdict(lambda: len(SPLITS))
    for sample in samples:
        lowest[sample.group] = min(lowest[sample.group], rank[sample.key])
    images = sum(rank[sample.key] > lowest[sample.group] for sample in samples)
    across = [
        link if rank[link.first] > rank[link.second] else ImageLink(link.second, link.first, link.why)
        for link in links
        if rank[link.first] != rank[link.second]
    ]
    order = list(_WHY)
    across.sort(key=lambda link: (order.index(link.why), link))
    return SplitLeak(images, tuple(across), divided)


def say(leak: SplitLeak) -> str:
    """Say how much leaks, how it was found out, and the first pairs."""
    tally = Counter(link.why for link in leak.links)
    kinds = ", ".join(
        f"{format_count(tally[why], 'pair')} {words}" for why, words in _WHY.items() if tally[why]
    )
    pairs = "; ".join(
        f"{link.first} ({leak.splits[link.first]}) and {link.second} ({leak.splits[link.second]})"
        for link in leak.links[:SHOWN]
    )
    more = f"; and {len(leak.links) - SHOWN} more" if len(leak.links) > SHOWN else ""
    images = format_count(leak.images, "image of val or test belongs", "images of val or test belong")
    return (
        f"the split that came with the data leaks: {images} together with "
        f"images of a split that is trained or chosen on ({kinds}): {pairs}{more}"
    )
