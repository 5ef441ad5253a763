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

from pipeline.core.detections import Detections
from pipeline.core.errors import UserError
from pipeline.core.tasks import Task
from pipeline.yolo.environment import set_torch_threads
from pipeline.yolo.errors import in_one_sentence
from pipeline.yolo.inference import masks
from pipeline.yolo.inference.masks import MaskPredictor
from pipeline.yolo.inference.nms import by_kernel


class InferenceSettings(TypedDict):
    """How to predict, under Ultralytics' names.

    `iou` is that of the non-maximum suppression; `device` None is an accelerator where there is one.
    """

    imgsz: int
    conf: float
    iou: float
    max_det: int
    batch: int
    device: str | int | list[int] | None


def predict(
    weights: Path, images: Sequence[Path], task: Task = "detect", **how: Unpack[InferenceSettings]
) -> Iterator[Detections]:
    """Yield what the model finds in each image, in their order, by descending score.

    A batch holds images of one shape: each is then scaled by its own shape alone, and what is found in it
    does not depend on its neighbours. The head is the one that Ultralytics' own validation uses.

    Args:
        weights: An Ultralytics checkpoint.
        images: Image files.
        task: What the checkpoint is for; any but classify.
        how: See `Inference`.

    Raises:
        Refused: A file that is no such checkpoint, or no image.
    """
    for result in _results(weights, images, task, how):
        yield _detections(result, task)


def classify(
    weights: Path, images: Sequence[Path], **how: Unpack[InferenceSettings]
) -> Iterator[NDArray[np.float64]]:
    """Yield the probability (classes,) of each class for each image, in their order.

    Args:
        weights: An Ultralytics checkpoint.
        images: Image files.
        how: See `Inference`.

    Raises:
        Refused: A file that is no such checkpoint, or no image.
    """
    for result in _results(weights, images, "classify", how):
        yield _plain(result.probs.data)


def _results(weights: Path, images: Sequence[Path], task: Task, how: InferenceSettings) -> Iterator[Any]:
    model = _load(weights, task)
    model.add_callback("on_predict_start", _settle)
    predictor = MaskPredictor if task == "segment" else None
    most, imgsz, device = how["batch"], how["imgsz"], how.get("device")
    for batch in _batches(images, most):
        with in_one_sentence(batch=most, imgsz=imgsz, device=device, leaner="lower evaluate.batch"):
            found = model.predict(batch, predictor=predictor, **how, verbose=False, save=False)
        yield from found


def _load(weights: Path, task: Task) -> Any:
    try:
        model = YOLO(weights, task=task)
    except Exception as error:  # whatever a foreign or cut file makes torch and Ultralytics stumble over
        reason = str(error).strip().split("\n", 1)[0]
        raise UserError(f"{weights} is no checkpoint that loads ({reason}): run finetune again") from error
    if model.task != task:
        raise UserError(
            f"{weights} was trained for {model.task}, but the data is for {task}: run finetune again"
        )
    return model


def _settle(predictor: Any) -> None:
    if predictor.device.type == "cpu":
        set_torch_threads()
        by_kernel(predictor)


def _batches(images: Sequence[Path], most: int) -> Iterator[list[NDArray[np.uint8]]]:
    for _, alike in groupby(map(_read, images), key=lambda image: image.shape):
        while batch := list(islice(alike, most)):
            yield batch


def _read(path: Path) -> NDArray[np.uint8]:
    image = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR)
    if image is None:
        raise UserError(f"{path} is no image that can be read: run prepare again")
    return image.astype(np.uint8, copy=False)


def _detections(result: Any, task: Task) -> Detections:
    found = result.obb if task == "obb" else result.boxes
    seen = Detections(_plain(found.xyxy), _plain(found.conf), _plain(found.cls).astype(np.int64))
    if task == "obb":
        return seen._replace(outlines=tuple(_plain(found.xyxyxyxy)))
    if task == "pose":
        return seen._replace(keypoints=_plain(result.keypoints.data))
    if task == "segment":
        return seen._replace(masks=result.cut, outlines=masks.outlines(result.cut))
    return seen


def _plain(tensor: Any) -> NDArray[np.float64]:
    return np.asarray(tensor.cpu() if hasattr(tensor, "cpu") else tensor, np.float64)
