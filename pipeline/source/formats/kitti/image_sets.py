"""Read the splits of lists such as ImageSets/train.txt, which name an image per line."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from pathlib import Path, PurePosixPath

from pipeline.source.reading.file_tree import list_files
from pipeline.source.reading.parsing import UnreadableFileError, load_text
from pipeline.source.types import choose_held_out_split, find_split_in_name


def read_listed_splits(folder: Path, labels: Collection[Path]) -> Mapping[str, str]:
    """Return the split of each label file by its stem; trainval.txt states none.

    The official test.txt counts the images of testing/, which have the names of those in training/: a list
    with names of another list is left aside if it is that of the test images.

    Args:
        folder: The source folder.
        labels: The label files.
    """
    stems = {path.stem for path in labels}
    names: dict[str, set[str]] = defaultdict(set)
    for path in list_files(folder, ".txt"):
        split = find_split_in_name(path.stem)
        if split and path not in labels:
            names[split] |= stems & _read_names(path)
    if names["test"] & (names["train"] | names["val"]):
        del names["test"]
    claims: dict[str, set[str]] = defaultdict(set)
    for split, listed in names.items():
        for name in listed:
            claims[name].add(split)
    found = {name: choose_held_out_split(splits) for name, splits in claims.items()}
    return {name: split for name, split in found.items() if split}


def _read_names(path: Path) -> set[str]:
    try:
        text, _ = load_text(path)
    except UnreadableFileError:
        return set()
    lines = (line.split() for line in text.splitlines())
    return {PurePosixPath(fields[0].replace("\\", "/")).stem for fields in lines if len(fields) == 1}
