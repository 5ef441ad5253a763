"""Batched prediction with a checkpoint, in the pixels of the original images."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby, islice
from pathlib import Path
from typing import Any, Unpack

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.core.detections import Detections
from pipeline.core.errors import UserError
from pipeline.core.tasks import Task
from pipeline.yolo.inference.loaded_model import InferenceSettings, LoadedModel


def predict_detections(
    weights: Path, images: Sequence[Path], task: Task = "detect", **how: Unpack[InferenceSettings]
) -> Iterator[Detections]:
    """Yield the detections in each image, in the order of the images, by descending score.

    A batch holds images of one shape only, so an image is scaled by its own shape and its detections do not
    depend on the other images. The model's head is the one that Ultralytics' own validation uses.

    Args:
        weights: An Ultralytics checkpoint.
        images: Image files.
        task: The task of the checkpoint; any but classify.
        how: See `InferenceSettings`.

    Raises:
        UserError: A file is no such checkpoint, or no image.
    """
    yield from _iterate_results(weights, images, task, how)


def predict_probabilities(
    weights: Path, images: Sequence[Path], **how: Unpack[InferenceSettings]
) -> Iterator[NDArray[np.float64]]:
    """Yield the class probabilities (classes,) of each image, in the order of the images.

    Args:
        weights: An Ultralytics checkpoint for classify.
        images: Image files.
        how: See `InferenceSettings`.

    Raises:
        UserError: A file is no such checkpoint, or no image.
    """
    yield from _iterate_results(weights, images, "classify", how)


def _iterate_results(
    weights: Path, images: Sequence[Path], task: Task, how: InferenceSettings
) -> Iterator[Any]:
    with LoadedModel(weights, task=task, settings=how, stage="evaluate") as model:
        for batch in _iterate_batches(images, how["batch"]):
            yield from model.predict(batch)


def _iterate_batches(images: Sequence[Path], size: int) -> Iterator[list[NDArray[np.uint8]]]:
    for _, same_shape in groupby(map(read_prepared_image, images), key=lambda image: image.shape):
        while batch := list(islice(same_shape, size)):
            yield batch


def read_prepared_image(path: Path) -> NDArray[np.uint8]:
    """Read an image of data/prepared as (height, width, 3) BGR.

    Raises:
        UserError: It cannot be read.
    """
    image = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR)
    if image is None:
        raise UserError(f"{path} cannot be read as an image: run prepare again")
    return image.astype(np.uint8, copy=False)
