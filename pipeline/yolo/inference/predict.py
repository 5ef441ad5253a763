"""Batched prediction with a checkpoint, in the pixels of the original images."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby, islice
from pathlib import Path
from typing import Any, NotRequired, TypedDict, Unpack

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from ultralytics import YOLO

from pipeline.core.detections import Detections
from pipeline.core.errors import UserError
from pipeline.core.machine_errors import describe_machine_error
from pipeline.core.tasks import Task
from pipeline.storage.verified_copy import temporary_copy
from pipeline.yolo.errors import explain_ultralytics_errors
from pipeline.yolo.inference.masks import MaskPredictor, trace_outlines
from pipeline.yolo.inference.nms import use_nms_kernel
from pipeline.yolo.torch_threads import TorchThreads
from pipeline.yolo.ultralytics_environment import limit_ultralytics_log


class InferenceSettings(TypedDict):
    """How to predict, under Ultralytics' names.

    `iou` is the threshold of the non-maximum suppression. `device` None is a GPU where there is one.
    `threads` are CPU threads of torch, None for as many as there are free cores; `on_threads` is called at
    the end with their average number.
    """

    imgsz: int
    conf: float
    iou: float
    max_det: int
    batch: int
    device: str | int | list[int] | None
    threads: NotRequired[int | None]
    on_threads: NotRequired[Callable[[float], None]]


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
    for result in _iterate_results(weights, images, task, how):
        yield _convert_result(result, task)


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
    for result in _iterate_results(weights, images, "classify", how):
        yield _to_numpy(result.probs.data)


def _iterate_results(
    weights: Path, images: Sequence[Path], task: Task, how: InferenceSettings
) -> Iterator[Any]:
    limit_ultralytics_log()
    on_cpu = how.get("device") == "cpu" or not torch.cuda.is_available()
    threads = TorchThreads(how.get("threads"), stage="evaluate", fast=on_cpu)
    model = _load_model(weights, task)
    model.add_callback("on_predict_start", lambda predictor: _set_up_cpu(predictor, threads))
    predictor = MaskPredictor if task == "segment" else None
    settings: dict[str, Any] = {"batch": how["batch"], "imgsz": how["imgsz"], "device": how.get("device")}
    arguments = {name: value for name, value in how.items() if name not in {"threads", "on_threads"}}
    with threads:
        for batch in _iterate_batches(images, how["batch"]):
            with explain_ultralytics_errors(**settings, memory_advice="lower evaluate.batch"):
                results = model.predict(batch, predictor=predictor, **arguments, verbose=False, save=False)
            yield from results
    if report := how.get("on_threads"):
        report(threads.read_average())


def _load_model(weights: Path, task: Task) -> Any:
    with temporary_copy(weights) as copy:
        try:
            model = YOLO(copy, task=task)
        except Exception as error:  # a foreign or truncated file can make torch raise anything
            if describe_machine_error(error):  # such as too little memory: it says nothing about the file
                raise
            reason = str(error).strip().split("\n", 1)[0].replace(copy, weights.name)
            raise UserError(
                f"{weights} cannot be loaded as a checkpoint ({reason}): run finetune again"
            ) from error
    if model.task != task:
        raise UserError(
            f"{weights} was trained for {model.task}, but the data is for {task}: run finetune again"
        )
    return model


def _set_up_cpu(predictor: Any, threads: TorchThreads) -> None:
    if predictor.device.type == "cpu":
        threads.restore()
        use_nms_kernel(predictor)


def _iterate_batches(images: Sequence[Path], size: int) -> Iterator[list[NDArray[np.uint8]]]:
    for _, same_shape in groupby(map(_read_image, images), key=lambda image: image.shape):
        while batch := list(islice(same_shape, size)):
            yield batch


def _read_image(path: Path) -> NDArray[np.uint8]:
    image = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR)
    if image is None:
        raise UserError(f"{path} cannot be read as an image: run prepare again")
    return image.astype(np.uint8, copy=False)


def _convert_result(result: Any, task: Task) -> Detections:
    found = result.obb if task == "obb" else result.boxes
    boxes = Detections(_to_numpy(found.xyxy), _to_numpy(found.conf), _to_numpy(found.cls).astype(np.int64))
    if task == "obb":
        return boxes._replace(outlines=tuple(_to_numpy(found.xyxyxyxy)))
    if task == "pose":
        return boxes._replace(keypoints=_to_numpy(result.keypoints.data))
    if task == "segment":
        masks = result.object_masks
        return boxes._replace(masks=masks, outlines=trace_outlines(masks))
    return boxes


def _to_numpy(tensor: Any) -> NDArray[np.float64]:
    return np.asarray(tensor.cpu() if hasattr(tensor, "cpu") else tensor, np.float64)
