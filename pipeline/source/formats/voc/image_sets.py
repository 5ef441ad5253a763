"""ImageSets/Main of Pascal VOC: train.txt, val.txt and test.txt, an image's name per line."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

from pipeline.core.text import format_count
from pipeline.source.reading.parsing import lines_of
from pipeline.source.types import held_out


def listed(folder: Path) -> tuple[dict[str, str], tuple[str, ...]]:
    """Read the split of each image name, and remarks on what is odd about the lists.

    Raises:
        Refused: A list is no text.
    """
    claims: dict[str, set[str]] = defaultdict(set)
    for split in ("train", "val", "test"):
        file = folder / f"{split}.txt"
        for line in lines_of(file) if file.is_file() else ():
            if line.split():
                claims[line.split()[0]].add(split)
    splits = {name: held_out(found) or "train" for name, found in claims.items()}
    twice = sum(len(found) > 1 for found in claims.values())
    if not twice:
        return splits, ()
    return splits, (
        f"ImageSets lists {format_count(twice, 'image')} in more than one split: "
        "each is kept in the held-out one",
    )
