"""YOLO detection labels as text: a line per object, `class x y w h`, centre and extent as shares of 1."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Labels:
    """The objects of one image.

    Args:
        classes: (n,) int64 class indices.
        boxes: (n, 4) float64 centre x, centre y, width, height, in shares of the image (0..1).
    """

    classes: NDArray[np.int64]
    boxes: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.classes)


EMPTY = Labels(np.zeros(0, np.int64), np.zeros((0, 4)))


def parse(text: str) -> Labels:
    """Read the lines of a label file that this project wrote.

    Raises:
        ValueError: A line that is not five numbers, the first of them a whole one.
    """
    rows = [_row(number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    if not rows:
        return EMPTY
    table = np.array(rows, np.float64)
    return Labels(table[:, 0].astype(np.int64), table[:, 1:])


def render(labels: Labels) -> str:
    """Write labels as text, six decimals, so that a 10,000 pixel image keeps a hundredth of a pixel."""
    lines = (
        f"{int(cls)} " + " ".join(f"{value:.6f}" for value in box)
        for cls, box in zip(labels.classes, labels.boxes, strict=True)
    )
    return "".join(line + "\n" for line in lines)


def to_xyxy(boxes: NDArray[np.float64], width: int, height: int) -> NDArray[np.float64]:
    """Turn centre and extent in shares (n, 4) into corners x1, y1, x2, y2 in pixels (n, 4)."""
    half = boxes[:, 2:] / 2
    corners = np.concatenate([boxes[:, :2] - half, boxes[:, :2] + half], axis=1)
    return corners * np.array([width, height, width, height], np.float64)


def from_xyxy(corners: NDArray[np.float64], width: int, height: int) -> NDArray[np.float64]:
    """Turn corners in pixels (n, 4) into centre and extent in shares of the image (n, 4)."""
    shares = corners / np.array([width, height, width, height], np.float64)
    return np.concatenate([(shares[:, :2] + shares[:, 2:]) / 2, shares[:, 2:] - shares[:, :2]], axis=1)


def _row(number: int, line: str) -> list[float]:
    fields = line.split()
    if len(fields) != 5 or not fields[0].isdigit():
        raise ValueError(f"line {number}: expected 'class x y w h', found {line.strip()[:80]!r}")
    return [float(field) for field in fields]
