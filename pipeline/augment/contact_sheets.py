"""Contact sheets: each original on the left, its augmented copies beside it, with labels drawn."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from pathlib import Path
from typing import TypeVar

import numpy as np

from pipeline.augment.image_files import encode_image, read_image
from pipeline.core.arrays import ImageArray
from pipeline.dataset.augmentation_records import AugmentedImage
from pipeline.dataset.manifest import Manifest
from pipeline.dataset.prepared import read_labels
from pipeline.visualize.label_overlay import draw_label_overlay

MAX_SHEETS, ROWS_PER_SHEET, MAX_COPIES_PER_ROW, TILE_PIXELS = 3, 4, 3, 320
"""Sheets, originals per sheet, copies per original at most, pixels of a tile's longer side."""

GAP_PIXELS = 6
"""Pixels between two tiles."""

Element = TypeVar("Element")


def write_contact_sheets(
    copies: Sequence[AugmentedImage], manifest: Manifest, *, source: Path, target: Path
) -> None:
    """Write target/samples/sheet_N.jpg with originals selected evenly from those that have copies.

    Args:
        copies: The augmented images; the copies of one original are next to each other.
        manifest: The prepared dataset.
        source: The folder of the prepared dataset.
        target: The folder of the augmented dataset.
    """
    families = [(file, list(family)) for file, family in groupby(copies, key=lambda copy: copy.source)]
    rows = [
        [
            draw_labeled_tile(source, file, manifest),
            *(draw_labeled_tile(target, copy.file, manifest) for copy in family[:MAX_COPIES_PER_ROW]),
        ]
        for file, family in select_evenly(families, MAX_SHEETS * ROWS_PER_SHEET)
    ]
    save_sheets(rows, target / "samples", "sheet")


def save_sheets(rows: Sequence[Sequence[ImageArray]], folder: Path, name: str) -> list[Path]:
    """Write rows of tiles as sheets NAME_1.jpg, NAME_2.jpg, ..., four rows each; return their paths."""
    columns = max(map(len, rows), default=0)
    paths = []
    for number, first in enumerate(range(0, len(rows), ROWS_PER_SHEET), 1):
        sheet = np.concatenate([_join_tiles(row, columns) for row in rows[first : first + ROWS_PER_SHEET]])
        paths.append(folder / f"{name}_{number}.jpg")
        paths[-1].write_bytes(encode_image(sheet, ".jpg"))
    return paths


def select_evenly(elements: Sequence[Element], count: int) -> list[Element]:
    """Select up to `count` elements at even distances."""
    count = min(count, len(elements))
    return [elements[index * len(elements) // count] for index in range(count)]


def draw_labeled_tile(folder: Path, file: str, manifest: Manifest) -> ImageArray:
    """Return a small image of a prepared or augmented dataset with its labels drawn."""
    image = read_image(folder / "images" / file)
    labels = read_labels((folder / "labels" / file).with_suffix(".txt"), manifest.task)
    return draw_label_overlay(image, labels, manifest.names, manifest.keypoints, side=TILE_PIXELS)


def _join_tiles(row: Iterable[ImageArray], columns: int) -> ImageArray:
    """Place tiles side by side on a white row of `columns` tiles."""
    tiles = list(row)
    height, step = max(tile.shape[0] for tile in tiles) + GAP_PIXELS, TILE_PIXELS + GAP_PIXELS
    joined = np.full((height, columns * step, 3), 255, np.uint8)
    for column, tile in enumerate(tiles):
        left = column * step
        joined[: tile.shape[0], left : left + tile.shape[1]] = tile
    return joined
