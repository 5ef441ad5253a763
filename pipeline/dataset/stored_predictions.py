"""Predictions as evaluate keeps them: with their images and the truth, so that nothing is inferred again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from pipeline.core.arrays import FloatArray
from pipeline.core.detections import Detections, GroundTruth
from pipeline.core.tasks import Keypoints, Task


class PredictedImage(NamedTuple):
    """One image that was predicted on.

    Attributes:
        id: From 1, as in the COCO files.
        file: As in the manifest, such as `test/part_01.jpg`.
        sha256: Of the image file.
        labels_sha256: Of its label file.
        width: In pixels.
        height: In pixels.
        source: The file that it was made from.
        group: Near copies, and images of one group, have the same; another image has a group of its own.
        cls: The true class of an image of classify; None for other tasks.
        slices: The slices of the split that it is in, each `COLUMN=VALUE`, such as `brightness=low`.
    """

    id: int
    file: str
    sha256: str
    labels_sha256: str
    width: int
    height: int
    source: str
    group: str
    cls: int | None = None
    slices: tuple[str, ...] = ()


@dataclass(frozen=True)
class StoredPredictions:
    """The predictions of a model on a split, with the truth.

    Args:
        task: The task.
        names: Class names by index.
        data: Digest of the prepared dataset.
        weights: SHA-256 of the weights.
        images: The images, in the order of the manifest.
        truths: The true objects of each image; empty for classify.
        detections: The detections of each image; empty for classify. Of masks and poses, `masks` and
            `keypoints` are filled, and `overlap` is not: it is computed from them.
        probabilities: (images, classes) of classify; None for other tasks.
        keypoints: The points of a pose.
    """

    task: Task
    names: tuple[str, ...]
    data: str
    weights: str
    images: tuple[PredictedImage, ...]
    truths: Sequence[GroundTruth] = ()
    detections: Sequence[Detections] = ()
    probabilities: FloatArray | None = None
    keypoints: Keypoints | None = None
