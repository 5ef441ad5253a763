"""Predict on a split with any model, and keep the predictions with their truth on disk."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pipeline.core.paths import PREPARED_FOLDER
from pipeline.core.tasks import Task
from pipeline.dataset.coco_head import PredictionHead
from pipeline.dataset.coco_results import open_prediction_writer, read_stored_predictions
from pipeline.dataset.coco_rows import round_detections
from pipeline.dataset.manifest import ImageRecord, Manifest
from pipeline.dataset.stored_predictions import StoredPredictions
from pipeline.evaluate.prediction_files import describe_predicted_images
from pipeline.evaluate.predictions import read_ground_truth
from pipeline.yolo.inference.loaded_model import InferenceSettings, LoadedModel
from pipeline.yolo.inference.predict import read_prepared_image


class MeasuredModel(NamedTuple):
    """A model to predict with.

    Attributes:
        weights: A checkpoint or an exported file.
        sha256: Of it.
        names: Its class names by index: those of the dataset, or the one that all were merged into.
        settings: See `InferenceSettings`.
    """

    weights: Path
    sha256: str
    names: tuple[str, ...]
    settings: InferenceSettings


def predict_split(model: MeasuredModel, manifest: Manifest, split: str, folder: Path) -> StoredPredictions:
    """Predict on a split; the predictions are in files, since masks of all images would not fit into memory.

    Args:
        model: See `MeasuredModel`.
        manifest: Of data/prepared.
        split: val or test.
        folder: An empty folder, which stays as long as the predictions are used.

    Raises:
        UserError: The file cannot be loaded, or an image cannot be read.
    """
    items, images = manifest.in_split(split), describe_predicted_images(manifest, split)
    head = PredictionHead(manifest.task, model.names, manifest.digest, model.sha256, manifest.keypoints)
    merged = len(model.names) < len(manifest.names)
    with open_prediction_writer(folder, split, head) as writer:
        for item, image, found in zip(items, images, _predict(model, items, manifest.task), strict=True):
            if manifest.task == "classify":
                writer.write_probabilities(image, found)
            else:
                truth = read_ground_truth(item, manifest, single_class=merged)
                writer.write_image(image, truth, round_detections(found))
    return read_stored_predictions(folder, split)


def _predict(model: MeasuredModel, items: Sequence[ImageRecord], task: Task) -> Iterator[Any]:
    """Yield the detections, or the probabilities, of each image in order."""
    files = [PREPARED_FOLDER / "images" / item.file for item in items]
    size = model.settings["batch"]
    with LoadedModel(model.weights, task=task, settings=model.settings, stage="export") as loaded:
        for start in range(0, len(files), size):
            yield from loaded.predict([read_prepared_image(file) for file in files[start : start + size]])
