"""Sample pictures of a prepared dataset with labels drawn, to check before hours of training."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import cv2
import numpy as np

from pipeline.core.arrays import ImageArray
from pipeline.core.errors import UserError
from pipeline.dataset.link_cache import clear_link_cache
from pipeline.dataset.manifest import ImageRecord, Manifest
from pipeline.dataset.prepared import read_labels
from pipeline.prepare.report.statistics import select_representatives
from pipeline.prepare.splits.stratify import SplitSample
from pipeline.visualize.label_overlay import draw_label_overlay


def write_samples(
    folder: Path, manifest: Manifest, *, count: int, seed: int
) -> Iterator[tuple[ImageRecord, ImageArray]]:
    """Write `count` train images with their labels drawn to samples/, if possible with every class.

    Args:
        folder: The prepared dataset.
        manifest: Its manifest.
        count: Number of samples.
        seed: Seed of the choice.

    Yields:
        Each image record and its picture, after the picture is written.
    """
    (folder / "samples").mkdir(exist_ok=True)
    for item in _choose_items(manifest, count=count, seed=seed):
        yield item, _write_sample(folder, item, manifest)


def _choose_items(manifest: Manifest, *, count: int, seed: int) -> list[ImageRecord]:
    """Choose labelled train images at random, if possible with every class."""
    by_file = {item.file: item for item in manifest.select_labelled().in_split("train")}
    samples = [SplitSample(item.file, item.sha256, frozenset(item.classes)) for item in by_file.values()]
    return [by_file[file] for file in select_representatives(samples, count, seed=seed)]


def draw_labeled_image(folder: Path, item: ImageRecord, manifest: Manifest) -> ImageArray:
    """Return one image of a prepared dataset with its labels drawn.

    Raises:
        UserError: The image or its labels were changed after the check.
    """
    try:
        encoded = np.frombuffer((folder / "images" / item.file).read_bytes(), np.uint8)
        labels = read_labels(folder / "labels" / item.label_file, manifest.task)
        image = cv2.imdecode(encoded, cv2.IMREAD_COLOR)
    except (OSError, ValueError, cv2.error):
        image = None
    if image is None:
        clear_link_cache()
        raise UserError(f"{item.file} or its labels were changed after they were checked: run prepare again")
    return draw_label_overlay(np.asarray(image, np.uint8), labels, manifest.names, manifest.keypoints)


def _write_sample(folder: Path, item: ImageRecord, manifest: Manifest) -> ImageArray:
    drawn = draw_labeled_image(folder, item, manifest)
    data = cv2.imencode(".jpg", drawn, [cv2.IMWRITE_JPEG_QUALITY, 90])[1].tobytes()
    file = folder / "samples" / PurePosixPath(item.file).with_suffix(".jpg").name
    file.write_bytes(data)
    return drawn
