"""Predictions of a model on prepared images, together with the labels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from pipeline.core.arrays import FloatArray
from pipeline.core.detections import GroundTruth
from pipeline.core.paths import PREPARED_FOLDER
from pipeline.dataset.coco_rows import round_detections, round_objects
from pipeline.dataset.labels import xywhn_to_xyxy
from pipeline.dataset.manifest import ImageRecord, Manifest
from pipeline.dataset.prepared import read_labels
from pipeline.evaluate.metrics.classification import ClassScores, select_top_classes
from pipeline.evaluate.metrics.detection import SplitPredictions
from pipeline.evaluate.metrics.similarity import attach_similarity
from pipeline.evaluate.prediction_files import PredictionRecorder
from pipeline.yolo.inference.loaded_model import InferenceSettings
from pipeline.yolo.inference.predict import predict_detections, predict_probabilities


class TrainedModel(NamedTuple):
    """A checkpoint, and how to predict with it.

    Attributes:
        weights: An Ultralytics checkpoint of the dataset's task.
        single_class: Whether it was trained with all classes merged into one.
        settings: See `InferenceSettings`.
    """

    weights: Path
    single_class: bool
    settings: InferenceSettings


def predict_objects(
    images: Sequence[ImageRecord],
    manifest: Manifest,
    model: TrainedModel,
    recorder: PredictionRecorder | None = None,
) -> SplitPredictions:
    """Detect objects in prepared images, and read their labels.

    All numbers are rounded as in the files with predictions, so that the files give the same metrics. Masks
    are compared with the labels image by image and not kept: memory grows by some 60 KB an image.

    Args:
        images: The images.
        manifest: Of data/prepared.
        model: The model.
        recorder: Writes the detections to files.
    """
    truths = [read_ground_truth(image, manifest, single_class=model.single_class) for image in images]
    predicted = predict_detections(model.weights, _list_image_paths(images), manifest.task, **model.settings)
    detections = []
    for image, truth, found in zip(images, truths, map(round_detections, predicted), strict=True):
        if recorder:
            recorder.record_objects(image, truth, found)
        size = (image.width, image.height)
        detections.append(attach_similarity(truth, found, manifest.task, size=size))
    return SplitPredictions(truths, detections)


def predict_image_classes(
    images: Sequence[ImageRecord], model: TrainedModel, recorder: PredictionRecorder | None = None
) -> ClassScores:
    """Classify prepared images, and read their true classes."""
    truth = np.array([image.classes[0] for image in images], np.int64)
    predicted = predict_probabilities(model.weights, _list_image_paths(images), **model.settings)
    probabilities = (
        _record_probabilities(image, row, recorder) for image, row in zip(images, predicted, strict=True)
    )
    return ClassScores(truth, *select_top_classes(probabilities))


def _record_probabilities(
    image: ImageRecord, row: FloatArray, recorder: PredictionRecorder | None
) -> FloatArray:
    if recorder:
        recorder.record_probabilities(image, row)
    return row


def _list_image_paths(images: Sequence[ImageRecord]) -> list[Path]:
    return [PREPARED_FOLDER / "images" / image.file for image in images]


def read_ground_truth(
    image: ImageRecord, manifest: Manifest, *, single_class: bool, root: Path = Path()
) -> GroundTruth:
    """Read the labels of a prepared image in its pixels, rounded to 0.01: they are about as exact.

    Args:
        image: The image.
        manifest: Of the prepared dataset.
        single_class: Whether all classes are merged into class 0.
        root: The folder with data/prepared.
    """
    return read_objects(root / PREPARED_FOLDER, image, manifest, single_class=single_class)


def read_objects(
    folder: Path, image: ImageRecord, manifest: Manifest, *, single_class: bool = False
) -> GroundTruth:
    """Read the labels of an image of any prepared dataset, as `read_ground_truth` does.

    Args:
        folder: The prepared dataset.
        image: The image.
        manifest: Of the dataset.
        single_class: Whether all classes are merged into class 0.
    """
    labels = read_labels(folder / "labels" / image.label_file, manifest.task)
    size = np.array([image.width, image.height], np.float64)
    truth = GroundTruth(
        boxes=xywhn_to_xyxy(labels.boxes, image.width, image.height),
        classes=np.zeros_like(labels.classes) if single_class else labels.classes,
        outlines=tuple(outline * size for outline in labels.outlines),
        keypoints=_scale_keypoints(labels.keypoints, size, manifest) if manifest.keypoints else None,
    )
    return round_objects(truth)


def _scale_keypoints(points: FloatArray, size: FloatArray, manifest: Manifest) -> FloatArray:
    """Return (n, points, 3): x and y in pixels, and visibility."""
    count = manifest.keypoints.count if manifest.keypoints else 0
    placed: FloatArray = points.reshape(-1, count, 3) * [*size, 1]
    return placed
