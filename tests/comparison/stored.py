"""Draw stored predictions of models with a known skill on the same images."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from pipeline.core.detections import Detections, GroundTruth
from pipeline.dataset.stored_predictions import PredictedImage, StoredPredictions

NAMES = ("disc", "square", "bar")


def list_images(
    count: int, *, copies: int = 1, classes: Sequence[int] | None = None
) -> tuple[PredictedImage, ...]:
    """Return images in groups of `copies`, dark and bright ones in turn."""
    return tuple(
        PredictedImage(
            id=place + 1,
            file=f"test/part_{place:03d}.jpg",
            sha256=hashlib.sha256(f"image {place}".encode()).hexdigest(),
            labels_sha256=hashlib.sha256(f"labels {place}".encode()).hexdigest(),
            width=100,
            height=100,
            source=f"part_{place:03d}.jpg",
            group=f"part_{place // copies * copies:03d}.jpg",
            cls=None if classes is None else classes[place],
            slices=(f"brightness={'low' if place % 2 else 'high'}",),
        )
        for place in range(count)
    )


def draw_detections(
    count: int, *, skill: float, seed: int = 0, scene: int = 0, copies: int = 1
) -> StoredPredictions:
    """Draw a detector that finds each object with probability `skill`.

    Args:
        count: Number of images.
        skill: 0 to 1.
        seed: Of the detector's errors.
        scene: Seed of the images: the same images have the same.
        copies: Images that show the same, in a group, with the same errors.
    """
    truths, detections = [], []
    for place in range(count):
        of_scene = np.random.default_rng([scene, place // copies])
        rng = np.random.default_rng([seed, scene, place // copies])
        objects = int(of_scene.integers(1, 4))
        corners = np.stack([10 + 30 * np.arange(objects), of_scene.uniform(5, 60, objects)], axis=1)
        truth = GroundTruth(np.hstack([corners, corners + 20]), of_scene.integers(0, 3, objects))
        found = rng.random(objects) < skill
        moved = truth.boxes[found] + rng.normal(0, 1.2, (int(found.sum()), 4))
        alarm = np.array([[70.0, 75.0, 95.0, 99.0]])
        truths.append(truth)
        detections.append(
            Detections(
                np.vstack([moved, alarm]),
                np.append(rng.uniform(0.3, 1, len(moved)), rng.uniform(0, 0.6)),
                np.append(truth.classes[found], rng.integers(3)),
            )
        )
    images = list_images(count, copies=copies)
    return StoredPredictions("detect", NAMES, "d" * 64, "a" * 64, images, truths, detections)


def draw_classifications(count: int, *, skill: float, seed: int = 0) -> StoredPredictions:
    """Draw a classifier that names the right class of three with probability `skill`."""
    truth = np.random.default_rng(0).integers(0, 3, count)
    rng = np.random.default_rng([seed, 1])
    guess = np.where(rng.random(count) < skill, truth, (truth + rng.integers(1, 3, count)) % 3)
    probabilities = np.full((count, 3), 0.1)
    probabilities[np.arange(count), guess] = 0.8
    images = list_images(count, classes=truth.tolist())
    return StoredPredictions("classify", NAMES, "d" * 64, "a" * 64, images, probabilities=probabilities)
