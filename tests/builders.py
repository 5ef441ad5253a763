"""Draw small datasets with known answers."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.core import labels, manifest
from pipeline.core.manifest import Item, Manifest


def prepared_dataset(  # a fixture's knobs are clearer side by side than in a class
    folder: Path,
    *,
    images: Mapping[str, int] | None = None,
    classes: Sequence[str] = ("disc", "square", "bar"),
    shares: Sequence[float] | None = None,
    pixels: int = 96,
    objects: tuple[int, int] = (1, 3),
    suffix: str = ".png",
    seed: int = 0,
) -> Manifest:
    """Write a valid data/prepared: bright coloured objects on dark noise, easily learnt, boxes exact.

    Class k has a shape (k modulo disc, square, bar) and a colour of its own; objects of one image never
    touch. Boxes lie on pixel edges: an object that fills columns 10 to 19 has x1 = 10 and x2 = 20.

    Args:
        folder: Where to write, such as `tmp_path / "data/prepared"`; created.
        images: Number of images per split; {"train": 6, "val": 3, "test": 3} where None.
        classes: The class names, at most six.
        shares: Chance of each class, for an imbalanced set; even where None.
        pixels: Width and height of an image, 32 or more.
        objects: Fewest and most objects in an image, the most 4; (0, 0) draws backgrounds alone.
        suffix: `.png` keeps the drawn pixels exactly, `.jpg` does not.
        seed: The same values and seed give the same files.
    """
    items = []
    for split, count in (images or {"train": 6, "val": 3, "test": 3}).items():
        for folder_of in (folder / "images" / split, folder / "labels" / split):
            folder_of.mkdir(parents=True, exist_ok=True)
        for index in range(count):
            rng = np.random.default_rng([seed, *split.encode(), index])
            drawn = rng.choice(len(classes), size=rng.integers(objects[0], objects[1] + 1), p=shares)
            image, boxes = draw_objects(drawn, pixels=pixels, rng=rng)
            label = labels.render(
                labels.Labels(drawn.astype(np.int64), labels.from_xyxy(boxes, pixels, pixels))
            )
            items.append(_write_item(folder, f"{split}/{split}_{index:03d}{suffix}", image, label))
    result = Manifest("detect", tuple(classes), tuple(sorted(items, key=lambda item: item.file)))
    (folder / "manifest.json").write_text(manifest.render(result))
    return result


def draw_objects(
    drawn: NDArray[np.int64], *, pixels: int, rng: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """Draw an object per class index, each in a quarter of its own: BGR image, boxes (n, 4) xyxy pixels."""
    colours = [(60, 80, 255), (80, 255, 80), (255, 120, 60), (60, 255, 255), (255, 80, 255), (255, 255, 80)]
    image = rng.integers(0, 60, (pixels, pixels, 3), dtype=np.uint8)
    cell, boxes = pixels // 2, np.zeros((len(drawn), 4))
    for row, (cls, quarter) in enumerate(zip(drawn, rng.permutation(4)[: len(drawn)], strict=True)):
        extent = int(rng.integers(cell // 3, cell * 3 // 4))
        width, height = (extent, extent) if cls % 3 < 2 else (extent, max(4, extent // 2))
        left = int(quarter % 2) * cell + int(rng.integers(1, cell - width))
        top = int(quarter // 2) * cell + int(rng.integers(1, cell - height))
        boxes[row] = left, top, left + width, top + height
        _fill(image[top : top + height, left : left + width], colours[cls % len(colours)], disc=cls % 3 == 0)
    return image, boxes


def _fill(patch: NDArray[np.uint8], colour: tuple[int, int, int], *, disc: bool) -> None:
    height, width = patch.shape[:2]
    rows, columns = np.mgrid[:height, :width] + 0.5
    inside = ((columns / width - 0.5) ** 2 + (rows / height - 0.5) ** 2 <= 0.25) | (not disc)
    patch[inside] = colour


def _write_item(folder: Path, file: str, image: NDArray[np.uint8], label: str) -> Item:
    path = folder / "images" / file
    encoded = cv2.imencode(path.suffix, image)[1].tobytes()
    path.write_bytes(encoded)
    (folder / "labels" / file).with_suffix(".txt").write_text(label)
    height, width = image.shape[:2]
    hashes = hashlib.sha256(encoded).hexdigest(), hashlib.sha256(label.encode()).hexdigest()
    return Item(file, *hashes, width, height, tuple(labels.parse(label).classes.tolist()), path.name)
