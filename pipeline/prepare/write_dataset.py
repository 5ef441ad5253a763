"""Write images and label files into their splits of the prepared dataset."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from pipeline.core.paths import PREPARED_FOLDER
from pipeline.core.tasks import Task
from pipeline.dataset.labels import ImageLabels, format_labels, xyxy_to_xywhn
from pipeline.dataset.link_cache import FileSpec, LinkCache
from pipeline.dataset.manifest import ImageRecord
from pipeline.prepare.ingest import IngestedImage
from pipeline.storage.copy_file import copy_unchanged_file
from pipeline.storage.disk_space import has_space, measure_copies, require_space


class DatasetWriter(NamedTuple):
    """The prepared dataset that images are written to.

    Attributes:
        folder: Its folder, with all subfolders.
        task: The task of its labels.
        link_cache: The files of the last prepared dataset.
    """

    folder: str
    task: Task
    link_cache: LinkCache


def require_space_for_images(dataset: DatasetWriter, placed: Sequence[tuple[IngestedImage, str]]) -> None:
    """Require space for the images that are copied, before the first one is.

    Args:
        dataset: The dataset to write to.
        placed: As for `write_image_and_label`.

    Raises:
        UserError: The disk has too little.
    """
    folder = Path(dataset.folder)
    copied = [(ingested, stem, original) for ingested, stem in placed if (original := ingested.original)]
    if has_space(folder, sum(original.length for _, _, original in copied)):
        return
    files = [
        (original.path, original.length)
        for ingested, stem, original in copied
        if not dataset.link_cache.holds(
            FileSpec(f"{stem}{ingested.suffix}", ingested.sha256, original.length, original.mtime)
        )
    ]
    require_space(folder, measure_copies(files, folder), what=f"the images of {PREPARED_FOLDER}")


def write_image_and_label(dataset: DatasetWriter, placed: tuple[IngestedImage, str]) -> ImageRecord:
    """Write an image and its label file into the split: linked where unchanged, else copied or moved.

    Args:
        dataset: The dataset to write to.
        placed: The image, and its unique path in the dataset without suffix, such as `train/part_01`. Its
            staged file must be on the same file system.

    Raises:
        UserError: The file was changed after it was read.
    """
    ingested, stem = placed
    label_text = format_labels(_normalize_labels(ingested), dataset.task).encode()
    record = _build_record(ingested, stem, hashlib.sha256(label_text).hexdigest())
    image_file = f"{dataset.folder}/images/{record.file}"
    label_file = f"{dataset.folder}/labels/{record.label_file}"
    if original := ingested.original:
        cache, mtime = dataset.link_cache, original.mtime
        image_spec = FileSpec(record.file, record.sha256, original.length, mtime)
        cache.link_or_create(image_file, image_spec, partial(copy_unchanged_file, original))
        label_spec = FileSpec(record.label_file, record.labels_sha256, len(label_text), mtime)
        cache.link_or_create(label_file, label_spec, partial(_write_bytes, label_text))
    else:
        ingested.staged_file.rename(image_file)
        _write_bytes(label_text, label_file)
    return record


def _build_record(ingested: IngestedImage, stem: str, labels_sha256: str) -> ImageRecord:
    return ImageRecord(
        file=f"{stem}{ingested.suffix}",
        sha256=ingested.sha256,
        labels_sha256=labels_sha256,
        width=ingested.size[0],
        height=ingested.size[1],
        classes=tuple(ingested.classes.tolist()),
        source=ingested.source,
        pseudo=ingested.pseudo,
    )


def _write_bytes(data: bytes, target: str) -> None:
    Path(target).write_bytes(data)


def _normalize_labels(ingested: IngestedImage) -> ImageLabels:
    """Return the objects with coordinates in shares of the image."""
    boxes = xyxy_to_xywhn(ingested.boxes, *ingested.size)
    if not ingested.outlines and not ingested.keypoints:
        return ImageLabels(ingested.classes, boxes)
    size = np.array(ingested.size, np.float64)
    outlines = tuple(outline / size for outline in ingested.outlines)
    if not ingested.keypoints:
        return ImageLabels(ingested.classes, boxes, outlines)
    return ImageLabels(ingested.classes, boxes, keypoints=np.array(ingested.keypoints) / [*size, 1])
