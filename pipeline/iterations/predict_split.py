"""Predict on a split of prepared data with any model, and keep the predictions with their truth on disk."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

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
from pipeline.iterations.iteration import SINGLE_CLASS_KEY, Iteration
from pipeline.iterations.weights_file import hash_path
from pipeline.yolo.inference.class_names import spell_class_names
from pipeline.yolo.inference.loaded_model import InferenceSettings, LoadedModel
from pipeline.yolo.inference.model_file import is_checkpoint, load_checkpoint_model
from pipeline.yolo.inference.predict import read_prepared_image


@dataclass(frozen=True)
class PreparedData:
    """The prepared data that models predict on.

    Args:
        manifest: Of it.
        root: The folder with data/prepared and data/columns.
        name: For people: a revision, or `the workspace`.
    """

    manifest: Manifest
    root: Path = Path()
    name: str = "the workspace"


class SplitPredictor(AbstractContextManager["SplitPredictor"]):
    """A model that predicts on splits of prepared data. Close it, or use it as a context manager."""

    def __init__(
        self,
        iteration: Iteration,
        weights: Path,
        data: PreparedData,
        *,
        settings: InferenceSettings,
        stage: str,
    ) -> None:
        """Load the weights, and check that they fit the data.

        Args:
            iteration: The model. Its sha256 is that of the file; None takes it.
            weights: Its file: a checkpoint, or an exported one.
            data: What it predicts on.
            settings: See `InferenceSettings`.
            stage: The command, for messages.

        Raises:
            UserError: The file cannot be loaded, or is for another task or other classes.
        """
        self._data, self._batch = data, settings["batch"]
        self._is_merged = is_single_class(iteration, weights, stage)
        self._model = LoadedModel(weights, task=data.manifest.task, settings=settings, stage=stage)
        try:
            self._order = match_classes(iteration, self._model.names, data, is_merged=self._is_merged)
        except UserError:
            self._model.close()
            raise
        self._names = self._model.names if self._is_merged else data.manifest.names
        self._sha256 = iteration.sha256 or hash_path(weights)

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Release the model."""
        self._model.close()

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
        with open_prediction_writer(folder, split, head) as writer:
            for item, image, found in zip(items, images, self._predict(items), strict=True):
                if isinstance(found, Detections):
                    truth = read_ground_truth(item, manifest, single_class=self._is_merged, root=root)
                    writer.write_image(image, truth, round_detections(found))
                else:
                    writer.write_probabilities(image, found)
        return read_stored_predictions(folder, split)

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


def is_single_class(iteration: Iteration, weights: Path, stage: str) -> bool:
    """Check whether all classes were merged into one for a training.

    Args:
        iteration: Its configuration says it; a file has none.
        weights: The file, which is asked where no configuration is known; an exported one does not say it.
        stage: The command, for messages.

    Raises:
        UserError: The file is no checkpoint.
    """
    if iteration.params or not is_checkpoint(weights):
        return bool(iteration.params.get(SINGLE_CLASS_KEY))
    return bool(load_checkpoint_model(weights, None, stage).overrides.get("single_cls"))


def match_classes(
    iteration: Iteration, names: Sequence[str], data: PreparedData, *, is_merged: bool
) -> IntArray:
    """Return the index in the data of each class of a model; its classes may be in another order.

    A code of ImageNet and Ultralytics' word for it are the same class.

    Args:
        iteration: The model.
        names: Its class names by index.
        data: The prepared data.
        is_merged: Whether the one class of the model is all classes of the data.

    Raises:
        UserError: The classes are others.
    """
    known = data.manifest.names
    if is_merged and len(names) == 1:
        return np.zeros(1, np.int64)
    spelled = spell_class_names(names, known)
    if sorted(spelled) != sorted(known):
        raise UserError(
            f"{iteration.label} was trained for the classes {', '.join(names)}, "
            f"but the data of {data.name} has {', '.join(known)}: choose a model and data of the same classes"
        )
    return np.array([known.index(name) for name in spelled], np.int64)
