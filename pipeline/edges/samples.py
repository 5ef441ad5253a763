"""Labelled sample pictures of a prepared dataset, for a person to look over before hours of training."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import cv2
import numpy as np

from pipeline.core import labels, statistics
from pipeline.core.manifest import Item
from pipeline.core.splits import Sample
from pipeline.edges import pictures


def write(folder: Path, items: Sequence[Item], names: Sequence[str], *, count: int, seed: int) -> None:
    """Draw `count` images with their boxes into samples/, each class among them if there is room.

    Args:
        folder: The prepared dataset.
        items: The images to choose from.
        names: Class names by index.
        count: How many.
        seed: Of the choice.
    """
    by_file = {item.file: item for item in items}
    samples = [Sample(item.file, item.sha256, frozenset(item.classes)) for item in items]
    for file in statistics.representative(samples, count, seed=seed):
        _write(folder, by_file[file], names)


def _write(folder: Path, item: Item, names: Sequence[str]) -> None:
    encoded = np.frombuffer((folder / "images" / item.file).read_bytes(), np.uint8)
    image = np.asarray(cv2.imdecode(encoded, cv2.IMREAD_COLOR), np.uint8)
    marked = labels.parse((folder / "labels" / item.label).read_text(encoding="utf-8"))
    corners = labels.to_xyxy(marked.boxes, item.width, item.height)
    picture = pictures.draw(image, marked.classes, corners, names)
    data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 90])[1].tobytes()
    (folder / "samples" / PurePosixPath(item.file).with_suffix(".jpg").name).write_bytes(data)
