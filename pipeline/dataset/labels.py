"""Parse and format YOLO labels: a line per object, coordinates as shares of the image (0 to 1).

detect: `class x y w h`, center and size. segment: `class x1 y1 x2 y2 ...`, the outline. obb: the same with
four corners. pose: `class x y w h` and the points, `x y v` each. classify: `class` alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pipeline.core.arrays import FloatArray
from pipeline.core.tasks import Task

WHOLE_IMAGE_BOX: Final = (0.5, 0.5, 1.0, 1.0)
"""The box that stands for a whole image in classification."""
_MAX_CLASS_DIGITS: Final = 9
"""Longest class index that is accepted."""


@dataclass(frozen=True)
class ImageLabels:
    """The objects of one image.

    Args:
        classes: (n,) int64 class indices.
        boxes: (n, 4) float64 center x, center y, width, height, as shares of the image (0..1).
        outlines: n arrays (k, 2) of x and y as shares: the outline (segment) or the four corners (obb); none
            for other tasks.
        keypoints: (n, points, 3) x, y as shares and visibility (pose); (n, 0, 3) for other tasks.
    """

    classes: NDArray[np.int64]
    boxes: FloatArray
    outlines: tuple[FloatArray, ...] = ()
    keypoints: FloatArray = field(default_factory=lambda: np.zeros((0, 0, 3)))

    def __len__(self) -> int:
        return len(self.classes)


EMPTY_LABELS: Final = ImageLabels(np.zeros(0, np.int64), np.zeros((0, 4)))


def parse_labels(text: str, task: Task = "detect") -> ImageLabels:
    """Parse a label file that this project wrote.

    Args:
        text: The contents of the label file.
        task: The task of the labels.

    Raises:
        ValueError: A line does not have the format of the task.
    """
    lines = enumerate(text.splitlines(), 1)
    rows = [_parse_line(number, line, task) for number, line in lines if line.strip()]
    if not rows:
        return EMPTY_LABELS
    classes = np.array([int(row[0]) for row in rows], np.int64)
    if task == "classify":
        return ImageLabels(classes, np.tile(np.array(WHOLE_IMAGE_BOX), (len(rows), 1)))
    if task in {"segment", "obb"}:
        outlines = tuple(np.array(row[1:], np.float64).reshape(-1, 2) for row in rows)
        return ImageLabels(classes, outlines_to_boxes(outlines), outlines)
    table = np.array([row[1:] for row in rows], np.float64)
    if task == "pose":
        return ImageLabels(classes, table[:, :4], keypoints=table[:, 4:].reshape(len(rows), -1, 3))
    return ImageLabels(classes, table)


def format_labels(labels: ImageLabels, task: Task = "detect") -> str:
    """Write labels as text with six decimals: 0.01 pixel in an image of 10,000 pixels."""
    values: list[list[float]]
    if task == "classify":
        values = [[]] * len(labels)
    elif task in {"segment", "obb"}:
        values = [outline.ravel().tolist() for outline in labels.outlines]
    elif task == "pose":
        flat = labels.keypoints.reshape(len(labels), labels.keypoints[0].size if len(labels) else 0)
        values = np.concatenate([labels.boxes, flat], axis=1).tolist()
    else:
        values = labels.boxes.tolist()
    lines = zip(labels.classes.tolist(), values, strict=True)
    return "".join(_line_template(len(row)) % (cls, *row) for cls, row in lines)


def outlines_to_boxes(outlines: tuple[FloatArray, ...]) -> FloatArray:
    """Return the upright box (n, 4) around each outline, as center and size."""
    low = np.array([outline.min(axis=0) for outline in outlines]).reshape(-1, 2)
    high = np.array([outline.max(axis=0) for outline in outlines]).reshape(-1, 2)
    return np.concatenate([(low + high) / 2, high - low], axis=1)


def xywhn_to_xyxy(boxes: FloatArray, width: int, height: int) -> FloatArray:
    """Convert center and size as shares (n, 4) to corners x1, y1, x2, y2 in pixels (n, 4)."""
    half = boxes[:, 2:] / 2
    corners = np.concatenate([boxes[:, :2] - half, boxes[:, :2] + half], axis=1)
    return corners * np.array([width, height, width, height], np.float64)


def xyxy_to_xywhn(corners: FloatArray, width: int, height: int) -> FloatArray:
    """Convert corners in pixels (n, 4) to center and size as shares of the image (n, 4)."""
    shares = corners / np.array([width, height, width, height], np.float64)
    return np.concatenate([(shares[:, :2] + shares[:, 2:]) / 2, shares[:, 2:] - shares[:, :2]], axis=1)


@lru_cache(maxsize=1000)
def _line_template(values: int) -> str:
    return "%d" + " %.6f" * values + "\n"


def _parse_line(number: int, line: str, task: Task) -> list[float]:
    fields = line.split()
    form, fits = _LINE_FORMATS[task]
    is_class = fields[0].isdecimal() and len(fields[0]) <= _MAX_CLASS_DIGITS
    if not is_class or not fits(len(fields) - 1):
        raise ValueError(f"line {number}: expected '{form}', found {line.strip()[:80]!r}")
    values = [float(value) for value in fields]
    if not math.isfinite(sum(values)):
        raise ValueError(f"line {number}: a value is not finite: {line.strip()[:80]!r}")
    return values


_LINE_FORMATS: Final[dict[Task, tuple[str, Callable[[int], bool]]]] = {
    "detect": ("class x y w h", lambda values: values == 4),
    "segment": ("class x1 y1 x2 y2 x3 y3 ...", lambda values: values >= 6 and values % 2 == 0),
    "classify": ("class", lambda values: values == 0),
    "obb": ("class x1 y1 x2 y2 x3 y3 x4 y4", lambda values: values == 8),
    "pose": ("class x y w h px py v ...", lambda values: values > 4 and (values - 4) % 3 == 0),
}
