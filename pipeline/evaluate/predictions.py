"""What a model makes of prepared images, beside what their labels say: plain values, image by image."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.core.detections import GroundTruth
from pipeline.core.paths import PREPARED
from pipeline.dataset.labels import to_xyxy
from pipeline.dataset.manifest import ImageRecord, Manifest
from pipeline.dataset.prepared import read_labels
from pipeline.evaluate.metrics.classification import ClassScores, guess
from pipeline.evaluate.metrics.detection import SplitPredictions
from pipeline.evaluate.metrics.similarity import weigh
from pipeline.yolo.inference import predict
from pipeline.yolo.inference.predict import InferenceSettings


class TrainedModel(NamedTuple):
    """A checkpoint, and how to predict with it.

    Attributes:
        weights: An Ultralytics checkpoint of the dataset's task.
        merged: It knows one class that stands for all.
        how: See `Inference`.
    """

    weights: Path
    merged: bool
    how: InferenceSettings


def detect(items: Sequence[ImageRecord], manifest: Manifest, model: TrainedModel) -> SplitPredictions:
    """Return the objects of prepared images, and what the model finds in them.

    Masks are held against the objects image by image and not kept: memory grows by some 60 KB an image.
    """
    truths = [_objects(item, manifest, merged=model.merged) for item in items]
    found = predict.predict(model.weights, _images(items), manifest.task, **model.how)
    seen = [
        weigh(truth, each, manifest.task, size=(item.width, item.height))
        for item, truth, each in zip(items, truths, found, strict=True)
    ]
    return SplitPredictions(truths, seen)


def classify(items: Sequence[ImageRecord], model: TrainedModel) -> ClassScores:
    """Return the classes of prepared images, and what the model takes them for."""
    truth = np.array([item.classes[0] for item in items], np.int64)
    return ClassScores(truth, *guess(predict.classify(model.weights, _images(items), **model.how)))


def _images(items: Sequence[ImageRecord]) -> list[Path]:
    return [PREPARED / "images" / item.file for item in items]


def _objects(item: ImageRecord, manifest: Manifest, *, merged: bool) -> GroundTruth:
    file = PREPARED / "labels" / item.label
    known = read_labels(file, manifest.task)
    size = np.array([item.width, item.height], np.float64)
    return GroundTruth(
        boxes=to_xyxy(known.boxes, item.width, item.height),
        classes=np.zeros_like(known.classes) if merged else known.classes,
        outlines=tuple(outline * size for outline in known.outlines),
        keypoints=_points(known.keypoints, size, manifest) if manifest.keypoints else None,
    )


def _points(
    points: NDArray[np.float64], size: NDArray[np.float64], manifest: Manifest
) -> NDArray[np.float64]:
    """Return (n, points, 3) in pixels and visibility."""
    count = manifest.keypoints.count if manifest.keypoints else 0
    placed: NDArray[np.float64] = points.reshape(-1, count, 3) * [*size, 1]
    return placed
