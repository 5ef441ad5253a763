"""Read ImageSets/Main of Pascal VOC: train.txt, val.txt and test.txt, an image name per line."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

from pipeline.core.text import format_count
from pipeline.source.reading.parsing import read_lines
from pipeline.source.types import choose_held_out_split


def read_image_sets(folder: Path) -> tuple[dict[str, str], tuple[str, ...]]:
    """Return the split of each image name, and a remark if images are listed in several splits.

    Raises:
        UserError: A list is not a text file.
    """
    claims: dict[str, set[str]] = defaultdict(set)
    for split in ("train", "val", "test"):
        file = folder / f"{split}.txt"
        for line in read_lines(file) if file.is_file() else ():
            if line.split():
                claims[line.split()[0]].add(split)
    splits = {name: choose_held_out_split(found) or "train" for name, found in claims.items()}
    twice = sum(len(found) > 1 for found in claims.values())
    if not twice:
        return splits, ()
    return splits, (
        f"ImageSets lists {format_count(twice, 'image')} in more than one split: "
        "each is kept in the held-out one",
    )
