"""Draw small datasets with known answers."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.core.tasks import Keypoints, Task
from pipeline.dataset.labels import (
    WHOLE_IMAGE_BOX,
    ImageLabels,
    format_labels,
    outlines_to_boxes,
    parse_labels,
    xyxy_to_xywhn,
)
from pipeline.dataset.manifest import ImageRecord, Manifest, serialize_manifest


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
            label = format_labels(ImageLabels(drawn.astype(np.int64), xyxy_to_xywhn(boxes, pixels, pixels)))
            items.append(_write_item(folder, f"{split}/{split}_{index:03d}{suffix}", image, label))
    result = Manifest("detect", tuple(classes), tuple(sorted(items, key=lambda item: item.file)))
    (folder / "manifest.json").write_text(serialize_manifest(result))
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


def _write_item(folder: Path, file: str, image: NDArray[np.uint8], label: str) -> ImageRecord:
    path = folder / "images" / file
    encoded = cv2.imencode(path.suffix, image)[1].tobytes()
    path.write_bytes(encoded)
    (folder / "labels" / file).with_suffix(".txt").write_text(label)
    height, width = image.shape[:2]
    hashes = hashlib.sha256(encoded).hexdigest(), hashlib.sha256(label.encode()).hexdigest()
    return ImageRecord(file, *hashes, width, height, tuple(parse_labels(label).classes.tolist()), path.name)


TIPS = Keypoints(("left", "right", "top"), (1, 0, 2))
"""The points of a pose that `prepared_for` draws: the corners of a triangle."""


def prepared_for(
    folder: Path, task: Task, *, images: Mapping[str, int] | None = None, pixels: int = 64, seed: int = 0
) -> Manifest:
    """Write a valid data/prepared for any task: one or two bright triangles on dark noise, labelled exactly.

    A triangle is blue (class 0) or green (class 1). segment: its three corners; obb: a rotated square around
    it; pose: its corners as points; classify: an image is what its first triangle is.

    Args:
        folder: Where to write; created.
        task: What the labels are for.
        images: Number of images per split; {"train": 4, "val": 2, "test": 2} where None.
        pixels: Width and height of an image, 48 or more.
        seed: The same values and seed give the same files.
    """
    items = []
    for split, count in (images or {"train": 4, "val": 2, "test": 2}).items():
        for folder_of in (folder / "images" / split, folder / "labels" / split):
            folder_of.mkdir(parents=True, exist_ok=True)
        for index in range(count):
            rng = np.random.default_rng([seed, *split.encode(), index])
            image, drawn = _triangles(rng, index, pixels)
            text = format_labels(_for_task(drawn, task, pixels), task)
            item = _write_item(folder, f"{split}/{split}_{index:03d}.png", image, "")
            (folder / "labels" / item.label_file).write_text(text)
            classes = tuple(int(line.split()[0]) for line in text.splitlines())
            digest = hashlib.sha256(text.encode()).hexdigest()
            items.append(replace(item, labels_sha256=digest, classes=classes))
    ordered = tuple(sorted(items, key=lambda item: item.file))
    result = Manifest(task, ("blue", "green"), ordered, TIPS if task == "pose" else None)
    (folder / "manifest.json").write_text(serialize_manifest(result))
    return result


def _triangles(
    rng: np.random.Generator, index: int, pixels: int
) -> tuple[NDArray[np.uint8], list[tuple[int, NDArray[np.float64], float]]]:
    """Draw one or two triangles side by side: the image, and of each class, centre and angle."""
    image = rng.integers(0, 60, (pixels, pixels, 3), dtype=np.uint8)
    drawn = []
    for half in range(1 + index % 2):
        cls, angle = (index + half) % 2, float(rng.uniform(0, 6))
        centre = np.array([pixels * (0.27 + 0.46 * half), pixels * rng.uniform(0.3, 0.7)])
        corners = _tips(centre, angle, pixels)
        colour = [(255, 60, 60), (60, 255, 60)][cls]
        cv2.fillPoly(image, [np.rint((corners - 0.5) * 16).astype(np.int32)], colour, shift=4)
        drawn.append((cls, centre, angle))
    return image, drawn


def _tips(centre: NDArray[np.float64], angle: float, pixels: int, corners: int = 3) -> NDArray[np.float64]:
    angles = angle + np.arange(corners) * 2 * np.pi / corners
    return centre + 0.22 * pixels * np.stack([np.cos(angles), np.sin(angles)], axis=1)


def _for_task(drawn: list[tuple[int, NDArray[np.float64], float]], task: Task, pixels: int) -> ImageLabels:
    if task == "classify":
        return ImageLabels(np.array([drawn[0][0]], np.int64), np.array([WHOLE_IMAGE_BOX]))
    classes = np.array([cls for cls, _, _ in drawn], np.int64)
    corners = 4 if task == "obb" else 3
    rings = tuple(_tips(centre, angle, pixels, corners) / pixels for _, centre, angle in drawn)
    points = np.array([np.append(ring, np.full((3, 1), 2), axis=1) for ring in rings if corners == 3])
    shown = {"keypoints": points} if task == "pose" else {"outlines": rings}
    return ImageLabels(classes, outlines_to_boxes(rings), **({} if task == "detect" else shown))


def build_manifest(**splits: str) -> Manifest:
    """Build a manifest without files: each letter of a split is an image, and its SHA-256 is 64 of it."""
    items = [
        ImageRecord(f"{split}/{name}.png", name * 64, "0" * 64, 8, 8, (0,), name)
        for split, names in splits.items()
        for name in names
    ]
    return Manifest("detect", ("pit",), tuple(items))
