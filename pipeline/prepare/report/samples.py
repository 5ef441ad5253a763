"""Labelled sample pictures of a prepared dataset, for a person to look over before hours of training."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import cv2
import numpy as np

from pipeline.core.arrays import ImageArray
from pipeline.core.errors import UserError
from pipeline.dataset import link_cache
from pipeline.dataset.manifest import ImageRecord, Manifest
from pipeline.dataset.prepared import read_labels
from pipeline.prepare.report import statistics
from pipeline.prepare.splits.stratify import SplitSample
from pipeline.visualize import label_overlay


def write(
    folder: Path, manifest: Manifest, *, count: int, seed: int
) -> Iterator[tuple[ImageRecord, ImageArray]]:
    """Draw `count` train images with their labels into samples/, each class among them if there is room.

    Args:
        folder: The prepared dataset.
        manifest: What it holds.
        count: How many.
        seed: Of the choice.

    Yields:
        Each image and its picture, once that is written.
    """
    (folder / "samples").mkdir(exist_ok=True)
    for item in _choose(manifest, count=count, seed=seed):
        yield item, _write(folder, item, manifest)


def _choose(manifest: Manifest, *, count: int, seed: int) -> list[ImageRecord]:
    """Choose train images at random, each class among them if there is room."""
    by_file = {item.file: item for item in manifest.of("train")}
    known = [SplitSample(item.file, item.sha256, frozenset(item.classes)) for item in by_file.values()]
    return [by_file[file] for file in statistics.representative(known, count, seed=seed)]


def picture(folder: Path, item: ImageRecord, manifest: Manifest) -> ImageArray:
    """Return one image of a prepared dataset with its labels drawn.

    Raises:
        Refused: It is not what it was when it was checked.
    """
    try:
        encoded = np.frombuffer((folder / "images" / item.file).read_bytes(), np.uint8)
        marked = read_labels(folder / "labels" / item.label, manifest.task)
        image = cv2.imdecode(encoded, cv2.IMREAD_COLOR)
    except (OSError, ValueError, cv2.error):
        image = None
    if image is None:
        link_cache.distrust()
        raise UserError(f"{item.file} or its labels were changed after they were checked: run prepare again")
    return label_overlay.label(np.asarray(image, np.uint8), marked, manifest.names, manifest.keypoints)


def _write(folder: Path, item: ImageRecord, manifest: Manifest) -> ImageArray:
    drawn = picture(folder, item, manifest)
    data = cv2.imencode(".jpg", drawn, [cv2.IMWRITE_JPEG_QUALITY, 90])[1].tobytes()
    file = folder / "samples" / PurePosixPath(item.file).with_suffix(".jpg").name
    file.write_bytes(data)
    return drawn
