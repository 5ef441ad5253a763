"""Put an image that was taken in where it belongs: into its split, with its label file."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from pipeline.core import labels
from pipeline.core.labels import Labels
from pipeline.core.manifest import Item
from pipeline.core.tasks import Task
from pipeline.edges import linking
from pipeline.edges.intake import Taken


def place(folder: Path, taken: Taken, task: Task, *, split: str, stem: str) -> Item:
    """Put an image that was taken in into its split, and write its label file.

    Args:
        folder: The prepared dataset, laid out.
        taken: The image; if it is held, then on the same file system.
        task: What its labels are for.
        split: train, val or test.
        stem: What it is called, unique in the dataset.

    Raises:
        Refused: Its file was changed since it was read.
    """
    file = f"{split}/{stem}{taken.suffix}"
    text = labels.render(_labels(taken), task).encode()
    item = Item(
        file=file,
        sha256=taken.sha256,
        labels_sha256=hashlib.sha256(text).hexdigest(),
        width=taken.size[0],
        height=taken.size[1],
        classes=tuple(taken.classes.tolist()),
        source=taken.source,
    )
    if taken.original:
        linking.copy(taken.original, folder / "images" / file)
    else:
        taken.held.rename(folder / "images" / file)
    (folder / "labels" / item.label).write_bytes(text)
    return item


def _labels(taken: Taken) -> Labels:
    """Return the objects in shares of the image."""
    size = np.array(taken.size, np.float64)
    shares = labels.from_xyxy(taken.boxes, *taken.size)
    outlines = tuple(outline / size for outline in taken.outlines)
    if not taken.keypoints:
        return Labels(taken.classes, shares, outlines)
    return Labels(taken.classes, shares, keypoints=np.array(taken.keypoints) / [*size, 1])
