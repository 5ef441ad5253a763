"""Contact sheets: an original on the left, its augmented copies beside it, boxes drawn."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

import cv2
import numpy as np

from pipeline.core import labels
from pipeline.core.records import Copy
from pipeline.edges import pictures, transforms
from pipeline.edges.transforms import Pixels

SHEETS, ROWS, COPIES, TILE = 3, 4, 3, 320
"""Sheets, originals per sheet, copies per original at most, pixels of a tile's side."""


def write(copies: Sequence[Copy], *, source: Path, target: Path, names: Sequence[str]) -> None:
    """Write target/samples/sheet_N.jpg for originals spread evenly over those that have copies.

    Args:
        copies: What was drawn, the copies of one original side by side.
        source: The prepared dataset.
        target: The augmented dataset.
        names: Class names by index.
    """
    families = [(file, list(family)) for file, family in groupby(copies, key=lambda copy: copy.source)]
    wanted = min(SHEETS * ROWS, len(families))
    chosen = [families[index * len(families) // wanted] for index in range(wanted)]
    width = 1 + min(COPIES, max((len(family) for _, family in chosen), default=0))
    for number, first in enumerate(range(0, wanted, ROWS), 1):
        rows = [_row(family, source, target, names)[:width] for family in chosen[first : first + ROWS]]
        sheet = np.concatenate([_strip(row, width) for row in rows])
        cv2.imwrite(str(target / "samples" / f"sheet_{number}.jpg"), sheet)


def _row(family: tuple[str, list[Copy]], source: Path, target: Path, names: Sequence[str]) -> list[Pixels]:
    original, copies = family
    return [_tile(source, original, names), *(_tile(target, copy.file, names) for copy in copies[:COPIES])]


def _tile(dataset: Path, file: str, names: Sequence[str]) -> Pixels:
    image = transforms.read(dataset / "images" / file)
    text = (dataset / "labels" / file).with_suffix(".txt").read_text(encoding="utf-8")
    known = labels.parse(text)
    boxes = labels.to_xyxy(known.boxes, image.shape[1], image.shape[0])
    drawn = pictures.draw(image, known.classes, boxes, names)
    factor = TILE / max(drawn.shape[:2])
    height, width = (max(1, round(side * factor)) for side in drawn.shape[:2])
    small = cv2.resize(drawn, (width, height), interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.uint8)


def _strip(row: list[Pixels], width: int) -> Pixels:
    """Lay pictures side by side on white, `width` places wide."""
    gap = 6
    strip = np.full((max(tile.shape[0] for tile in row) + gap, width * (TILE + gap), 3), 255, np.uint8)
    for place, tile in enumerate(row):
        left = place * (TILE + gap)
        strip[: tile.shape[0], left : left + tile.shape[1]] = tile
    return strip
