"""Batched prediction with a checkpoint, in the pixels of the original images."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby, islice
from pathlib import Path
from typing import Any, TypedDict, Unpack

import cv2
import numpy as np
from numpy.typing import NDArray
from ultralytics import YOLO

from pipeline.core.matching import Detections
from pipeline.edges.files import Refused


class Inference(TypedDict):
    """How to predict, under Ultralytics' names.

    `iou` is that of the non-maximum suppression; `device` None is an accelerator where there is one.
    """

    imgsz: int
    conf: float
    iou: float
    max_det: int
    batch: int
    device: str | int | list[int] | None


def predict(weights: Path, images: Sequence[Path], **how: Unpack[Inference]) -> Iterator[Detections]:
    """Yield what the model finds in each image, in their order.

    A batch holds images of one shape: each is then scaled by its own shape alone, and what is found in it
    does not depend on its neighbours. The head is the one that Ultralytics' own validation uses.

    Args:
        weights: An Ultralytics checkpoint.
        images: Image files.
        how: See `Inference`.

    Raises:
        Refused: A file that is no such checkpoint, or no image.
    """
    model = _load(weights)
    for batch in _batches(images, how["batch"]):
        for result in model.predict(batch, **how, verbose=False, save=False):
            yield _detections(result)


def _load(weights: Path) -> Any:
    try:
        return YOLO(weights, task="detect")
    except Exception as error:  # whatever a foreign or cut file makes torch and Ultralytics stumble over
        reason = str(error).strip().split("\n", 1)[0]
        raise Refused(f"{weights} is no checkpoint that loads ({reason}): run finetune again") from error


def _batches(images: Sequence[Path], most: int) -> Iterator[list[NDArray[np.uint8]]]:
    for _, alike in groupby(map(_read, images), key=lambda image: image.shape):
        while batch := list(islice(alike, most)):
            yield batch


def _read(path: Path) -> NDArray[np.uint8]:
    image = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR)
    if image is None:
        raise Refused(f"{path} is no image that can be read: run prepare again")
    return image.astype(np.uint8, copy=False)


def _detections(result: Any) -> Detections:
    found = result.boxes.numpy() if hasattr(result.boxes, "numpy") else result.boxes
    return Detections(
        found.xyxy.astype(np.float64), found.conf.astype(np.float64), found.cls.astype(np.int64)
    )
