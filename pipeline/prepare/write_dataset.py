"""Put an image that was taken in where it belongs: into its split, with its label file."""

from __future__ import annotations

import hashlib
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from pipeline.core.tasks import Task
from pipeline.dataset import labels
from pipeline.dataset.labels import ImageLabels, from_xyxy
from pipeline.dataset.link_cache import FileSpec, LinkCache
from pipeline.dataset.manifest import ImageRecord
from pipeline.prepare.ingest import IngestedImage
from pipeline.storage import copy_file


class DatasetWriter(NamedTuple):
    """The prepared dataset in the making.

    Attributes:
        folder: Laid out.
        task: What its labels are for.
        kept: Files of the last one.
    """

    folder: str
    task: Task
    kept: LinkCache


def place(dataset: DatasetWriter, image: tuple[IngestedImage, str]) -> ImageRecord:
    """Put an image that was taken in into its split, and write its label file.

    Args:
        dataset: Where to.
        image: The image, if it is held then on the same file system; and its place in the dataset without
            suffix, such as `train/part_01`, unique.

    Raises:
        Refused: Its file was changed since it was read.
    """
    taken, stem = image
    file = f"{stem}{taken.suffix}"
    text = labels.render(_labels(taken), dataset.task).encode()
    item = ImageRecord(
        file=file,
        sha256=taken.sha256,
        labels_sha256=hashlib.sha256(text).hexdigest(),
        width=taken.size[0],
        height=taken.size[1],
        classes=tuple(taken.classes.tolist()),
        source=taken.source,
    )
    pixels, label = f"{dataset.folder}/images/{file}", f"{dataset.folder}/labels/{stem}.txt"
    if original := taken.original:
        kept, changed = dataset.kept, original.mtime
        kept.place(
            pixels, FileSpec(file, taken.sha256, original.length, changed), partial(copy_file.copy, original)
        )
        kept.place(label, FileSpec(item.label, item.labels_sha256, len(text), changed), partial(_write, text))
    else:
        taken.held.rename(pixels)
        _write(text, label)
    return item


def _write(text: bytes, target: str) -> None:
    Path(target).write_bytes(text)


def _labels(taken: IngestedImage) -> ImageLabels:
    """Return the objects in shares of the image."""
    shares = from_xyxy(taken.boxes, *taken.size)
    if not taken.outlines and not taken.keypoints:
        return ImageLabels(taken.classes, shares)
    size = np.array(taken.size, np.float64)
    outlines = tuple(outline / size for outline in taken.outlines)
    if not taken.keypoints:
        return ImageLabels(taken.classes, shares, outlines)
    return ImageLabels(taken.classes, shares, keypoints=np.array(taken.keypoints) / [*size, 1])
