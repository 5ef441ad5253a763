"""Draw small prepared datasets for each task: filled outlines, turned bars, poses, classes; answers exact."""

from __future__ import annotations

import hashlib
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.core.tasks import Keypoints, Task
from pipeline.dataset.labels import WHOLE_IMAGE_BOX, ImageLabels, format_labels, outlines_to_boxes
from pipeline.dataset.manifest import ImageRecord, Manifest, serialize_manifest

NAMES = ("red", "green", "blue")
POINTS = Keypoints(("left", "right"), (1, 0))
"""The two ends of a bar; in a mirrored image they change places."""

COLOURS = ((60, 80, 255), (80, 255, 80), (255, 120, 60))


def prepared(
    folder: Path, task: Task, *, images: dict[str, int] | None = None, pixels: int = 64, seed: int = 0
) -> Manifest:
    """Write a valid data/prepared of a task: two coloured shapes on dark noise, or one for classify.

    segment has triangles, all others turned bars; the class is the colour.

    Args:
        folder: Where to write; created.
        task: What the labels are for.
        images: Number of images per split; 8, 4 and 2 where None.
        pixels: Width and height of an image.
        seed: The same values and seed give the same files.
    """
    items = []
    for split, count in (images or {"train": 8, "val": 4, "test": 2}).items():
        for place in ("images", "labels"):
            (folder / place / split).mkdir(parents=True)
        for index in range(count):
            rng = np.random.default_rng([seed, *split.encode(), index])
            image, found = draw(task, pixels=pixels, rng=rng)
            file = f"{split}/{split}_{index:03d}.png"
            items.append(_write(folder, file, image, (found, format_labels(found, task))))
    points = POINTS if task == "pose" else None
    result = Manifest(task, NAMES, tuple(sorted(items, key=lambda item: item.file)), points)
    (folder / "manifest.json").write_text(serialize_manifest(result))
    return result


def draw(task: Task, *, pixels: int, rng: np.random.Generator) -> tuple[NDArray[np.uint8], ImageLabels]:
    """Draw an image and its labels."""
    image = rng.integers(0, 60, (pixels, pixels, 3), dtype=np.uint8)
    count = 1 if task == "classify" else 2
    classes = rng.integers(0, len(NAMES), count)
    outlines, keypoints = [], []
    for place, cls in enumerate(classes):
        centre = np.array([pixels * (0.27 + 0.46 * place), rng.uniform(0.35, 0.65) * pixels])
        outline, ends = _shape(task, rng, size=pixels * rng.uniform(0.17, 0.21))
        cv2.fillPoly(image, [np.round(outline + centre).astype(np.int32)], COLOURS[cls])
        outlines.append((outline + centre) / pixels)
        keypoints.append(np.concatenate([(ends + centre) / pixels, [[2.0], [2.0]]], axis=1))
    boxes = outlines_to_boxes(tuple(outlines))
    if task == "classify":
        boxes = np.array([WHOLE_IMAGE_BOX])
    points = np.array(keypoints) if task == "pose" else np.zeros((0, 0, 3))
    return image, ImageLabels(classes, boxes, tuple(outlines), points)


def _shape(
    task: Task, rng: np.random.Generator, *, size: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the outline about the origin, and the ends of a bar, the left one first."""
    if task == "segment":
        corners = np.array([[-1.0, 0.9], [1.0, 0.9], [0.0, -1.0]])
    else:
        corners = np.array([[-1.0, -0.4], [1.0, -0.4], [1.0, 0.4], [-1.0, 0.4]])
    angle = 0.0 if task == "segment" else rng.uniform(-1, 1)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    return corners @ turn * size, np.array([[-0.9, 0.0], [0.9, 0.0]]) @ turn * size


def _write(folder: Path, file: str, image: NDArray[np.uint8], label: tuple[ImageLabels, str]) -> ImageRecord:
    found, text = label
    encoded = cv2.imencode(".png", image)[1].tobytes()
    (folder / "images" / file).write_bytes(encoded)
    (folder / "labels" / file).with_suffix(".txt").write_text(text)
    hashes = hashlib.sha256(encoded).hexdigest(), hashlib.sha256(text.encode()).hexdigest()
    return ImageRecord(
        file, *hashes, image.shape[1], image.shape[0], tuple(found.classes.tolist()), Path(file).name
    )
