"""Which classes come from one folder of a source alone."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Final

import numpy as np

from pipeline.core.statistics import Columns

NO_ACCIDENT: Final = 5
"""Images of a class from which on it is no accident that one folder has them all."""

_NOT_A_PLACE: Final = {
    *("train", "training", "val", "valid", "validation", "test", "testing"),
    *("images", "image", "img", "imgs", "jpegimages"),
}


def alone(table: Columns, classes: int) -> Iterator[tuple[int, int, str, int]]:
    """Yield classes that one folder alone has, and one with at most half of all images.

    A folder with most of the images has most classes to itself by chance.

    Yields:
        The class, the number of its images, their folder, the number of folders.
    """
    folders = [source.rpartition("/")[0] for source in table.sources]
    known = {folder: place(f"{folder}/") for folder in set(folders)}
    names, where = np.unique([known[folder] for folder in folders], return_inverse=True)
    for cls in range(classes) if len(names) > 1 else ():
        holders = np.unique(table.images[table.classes == cls])
        found = np.unique(where[holders])
        if len(found) == 1 and len(holders) >= NO_ACCIDENT and 2 * (where == found[0]).sum() <= len(where):
            yield cls, len(holders), str(names[found[0]]), len(names)


def place(source: str) -> str:
    """Return the folder an image lies in, without the parts that only name a split or say `images`."""
    parts = PurePosixPath(source.rpartition("/")[0]).parts
    return "/".join(part for part in parts if not _NOT_A_PLACE & set(re.split(r"[^a-z]+", part.lower())))
