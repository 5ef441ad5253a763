"""Read a label file for Ultralytics' datasets.

Ultralytics' own reader unpickles and writes `labels.cache` next to the labels, overwrites damaged JPEGs, and
reads a .npy file next to an image instead of the image.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from ultralytics.data.utils import exif_size

from pipeline.core.errors import UserError
from pipeline.core.tasks import Task
from pipeline.dataset.labels import parse_labels


class LabelContent(NamedTuple):
    """What a label file holds: labels of which task, and how many key points of a pose."""

    task: Task
    points: int


def read_label_file(image: Path, label: Path, content: LabelContent, *, classes: float) -> dict[str, Any]:
    """Read the objects of an image as Ultralytics' datasets hold them.

    Args:
        image: The image, whose size is read.
        label: Its label file.
        content: What the file holds.
        classes: The number of classes; infinite where all objects become one class.

    Returns:
        im_file; shape (height, width); cls (n, 1); bboxes (n, 4): centre and size, 0..1; segments: for each
        object (points, 2), 0..1; keypoints (n, points, 3) for pose, else None.

    Raises:
        UserError: A file cannot be read, or a class is unknown.
    """
    try:
        objects = parse_labels(label.read_text("utf-8"), content.task)
        with Image.open(image) as opened:
            width, height = exif_size(opened)
        points = _shape_keypoints(objects.keypoints, content) if content.task == "pose" else None
    except (OSError, ValueError) as error:
        raise UserError(
            f"{image} or {label} cannot be read ({error}): run prepare and augment again"
        ) from None
    if len(objects) and objects.classes.max() >= classes:
        raise build_class_error(label, objects.classes.max(), classes)
    return {
        "im_file": str(image),
        "shape": (height, width),
        "cls": objects.classes[:, None].astype(np.float32),
        "bboxes": objects.boxes.astype(np.float32),
        "segments": [outline.astype(np.float32) for outline in objects.outlines],
        "keypoints": points,
        "normalized": True,
        "bbox_format": "xywh",
    }


def build_class_error(label: Path, index: int, classes: float) -> UserError:
    """Build the error about a label file with a class that is not among the names."""
    return UserError(f"{label} has class {index}, but there are only {classes} classes: run prepare again")


def _shape_keypoints(points: NDArray[np.float64], content: LabelContent) -> NDArray[np.float32]:
    """Return (n, points, 3), also where n is 0."""
    if len(points) and points.shape[1] != content.points:
        raise ValueError(f"{points.shape[1]} points instead of {content.points}")
    return points.reshape(-1, content.points, 3).astype(np.float32)
