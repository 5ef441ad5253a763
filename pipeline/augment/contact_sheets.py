"""Contact sheets: an original on the left, its augmented copies beside it, labels drawn."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from pathlib import Path
from typing import TypeVar

import numpy as np

from pipeline.augment import transform_image
from pipeline.core.arrays import ImageArray
from pipeline.dataset.augmentation_records import AugmentedImage
from pipeline.dataset.manifest import Manifest
from pipeline.dataset.prepared import read_labels
from pipeline.visualize import label_overlay

SHEETS, ROWS, COPIES, TILE = 3, 4, 3, 320
"""Sheets, originals per sheet, copies per original at most, pixels of a tile's side."""

Element = TypeVar("Element")

GAP = 6
"""Pixels between two tiles."""


def write(copies: Sequence[AugmentedImage], manifest: Manifest, *, source: Path, target: Path) -> None:
    """Write target/samples/sheet_N.jpg for originals spread evenly over those that have copies.

    Args:
        copies: What was drawn, the copies of one original side by side.
        manifest: The prepared dataset.
        source: Where it lies.
        target: The augmented dataset.
    """
    families = [(file, list(family)) for file, family in groupby(copies, key=lambda copy: copy.source)]
    rows = [
        [tile(source, file, manifest), *(tile(target, copy.file, manifest) for copy in family[:COPIES])]
        for file, family in spread(families, SHEETS * ROWS)
    ]
    save(rows, target / "samples", "sheet")


def save(rows: Sequence[Sequence[ImageArray]], folder: Path, name: str) -> list[Path]:
    """Write rows of pictures as sheets NAME_1.jpg, NAME_2.jpg, ..., four rows each; return their paths."""
    width = max(map(len, rows), default=0)
    paths = []
    for number, first in enumerate(range(0, len(rows), ROWS), 1):
        sheet = np.concatenate([_strip(row, width) for row in rows[first : first + ROWS]])
        paths.append(folder / f"{name}_{number}.jpg")
        paths[-1].write_bytes(transform_image.encode(sheet, ".jpg"))
    return paths


def spread(things: Sequence[Element], wanted: int) -> list[Element]:
    """Choose some things evenly spread over all."""
    count = min(wanted, len(things))
    return [things[index * len(things) // count] for index in range(count)]


def tile(folder: Path, file: str, manifest: Manifest) -> ImageArray:
    """Return an image of a prepared or augmented dataset with its labels drawn."""
    image = transform_image.read(folder / "images" / file)
    label = (folder / "labels" / file).with_suffix(".txt")
    marked = read_labels(label, manifest.task)
    return label_overlay.label(image, marked, manifest.names, manifest.keypoints, side=TILE)


def _strip(row: Iterable[ImageArray], width: int) -> ImageArray:
    """Lay pictures side by side on white, `width` places wide."""
    tiles = list(row)
    strip = np.full((max(tile.shape[0] for tile in tiles) + GAP, width * (TILE + GAP), 3), 255, np.uint8)
    for place, each in enumerate(tiles):
        left = place * (TILE + GAP)
        strip[: each.shape[0], left : left + each.shape[1]] = each
    return strip
