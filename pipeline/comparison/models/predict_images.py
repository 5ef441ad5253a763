"""Predict on val or test with any weights, and keep the predictions with their truth on disk."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from pipeline.config.schema import Config
from pipeline.core.arrays import IntArray
from pipeline.core.detections import Detections
from pipeline.core.errors import UserError
from pipeline.core.paths import PREPARED_FOLDER
from pipeline.dataset.coco_head import PredictionHead
from pipeline.dataset.coco_results import open_prediction_writer, read_stored_predictions
from pipeline.dataset.coco_rows import round_detections
from pipeline.dataset.manifest import ImageRecord, Manifest
from pipeline.dataset.stored_predictions import StoredPredictions
from pipeline.evaluate.prediction_files import describe_predicted_images
from pipeline.evaluate.predictions import read_ground_truth
from pipeline.iterations.inference_settings import find_imgsz
from pipeline.iterations.iteration import Iteration
from pipeline.storage.files import hash_file
from pipeline.yolo.inference.loaded_model import InferenceSettings, LoadedModel
from pipeline.yolo.inference.model_file import is_checkpoint, load_checkpoint_model, read_export_facts
from pipeline.yolo.inference.predict import read_prepared_image

STAGE: Final = "compare"


@dataclass(frozen=True)
class PreparedData:
    """The prepared data that models predict on.

    Args:
        manifest: Of it.
        root: The folder with data/prepared and data/columns.
        name: For people: a revision, or `the workspace`.
    """

    manifest: Manifest
    root: Path
    name: str


class Predictor:
    """A model that predicts on splits of prepared data. Close it at the end."""

    def __init__(self, iteration: Iteration, weights: Path, data: PreparedData, config: Config) -> None:
        """Load the weights, and check that they fit the data.

        Args:
            iteration: The model.
            weights: Its file.
            data: What it predicts on.
            config: `evaluate` and `finetune.device` are used.

        Raises:
            UserError: The file cannot be loaded, or is for another task or other classes.
        """
        self._weights, self._data = weights, data
        settings = _build_settings(find_imgsz(iteration, weights, stage=STAGE), data.manifest, config)
        self._batch = settings["batch"]
        self._model = LoadedModel(weights, task=data.manifest.task, settings=settings, stage=STAGE)
        try:
            self._order = match_classes(iteration, self._model.names, data)
        except UserError:
            self._model.close()
            raise
        self._names = self._model.names if _is_merged(iteration) else data.manifest.names
        self._sha256 = iteration.sha256 or (hash_file(weights) if weights.is_file() else "")

    def predict_split(self, split: str, folder: Path) -> StoredPredictions:
        """Predict on a split; the predictions are in files: masks of all images would not fit into memory.

        Args:
            split: val or test.
            folder: Where the files are written; it stays as long as the predictions are used.

        Raises:
            UserError: An image cannot be read.
        """
        manifest, root = self._data.manifest, self._data.root
        items, images = manifest.in_split(split), describe_predicted_images(manifest, split, root)
        head = PredictionHead(manifest.task, self._names, manifest.digest, self._sha256, manifest.keypoints)
        merged = len(self._names) < len(manifest.names)
        with open_prediction_writer(folder, split, head) as writer:
            for item, image, found in zip(items, images, self._predict(items), strict=True):
                if isinstance(found, Detections):
                    truth = read_ground_truth(item, manifest, single_class=merged, root=root)
                    writer.write_image(image, truth, round_detections(found))
                else:
                    writer.write_probabilities(image, found)
        return read_stored_predictions(folder, split)

    def close(self) -> None:
        """Release the model."""
        self._model.close()

    def _predict(self, items: Sequence[ImageRecord]) -> Iterator[Any]:
        """Yield the detections, or the probabilities, of each image in order."""
        files = [self._data.root / PREPARED_FOLDER / "images" / item.file for item in items]
        for start in range(0, len(files), self._batch):
            images = [read_prepared_image(file) for file in files[start : start + self._batch]]
            yield from (self._rename(found) for found in self._model.predict(images))

    def _rename(self, found: Any) -> Any:
        """Number the classes as the data does."""
        if isinstance(found, Detections):
            return found._replace(classes=self._order[found.classes])
        row = np.empty_like(found)
        row[self._order] = found
        return row


def match_classes(iteration: Iteration, names: Sequence[str], data: PreparedData) -> IntArray:
    """Return the index in the data of each class of a model; its classes may be in another order.

    Args:
        iteration: The model.
        names: Its class names by index; a single one where its training merged all classes.
        data: The prepared data.

    Raises:
        UserError: The classes are others.
    """
    known = data.manifest.names
    if _is_merged(iteration) and len(names) == 1:
        return np.zeros(1, np.int64)
    if sorted(names) != sorted(known):
        raise UserError(
            f"{iteration.label} was trained for the classes {', '.join(names)}, "
            f"but the data of {data.name} has {', '.join(known)}: compare models of the same classes"
        )
    return np.array([known.index(name) for name in names], np.int64)


def _is_merged(iteration: Iteration) -> bool:
    return bool(iteration.params.get("finetune.single_cls"))


def _build_settings(imgsz: int, manifest: Manifest, config: Config) -> InferenceSettings:
    """Return how all models predict: as `evaluate` would, each at its own image size."""
    wanted = config.evaluate
    return InferenceSettings(
        imgsz=imgsz,
        conf=wanted.conf,
        iou=wanted.iou,
        max_det=wanted.max_det,
        batch=wanted.batch,
        device=config.finetune.device,
        tile=None if manifest.task == "classify" else wanted.tile,
        overlap=wanted.overlap,
    )
