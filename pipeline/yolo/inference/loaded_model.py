"""A model in memory: predict on images, in the pixels of the original images."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Final, NotRequired, Self, TypedDict, cast

import numpy as np
import torch
from numpy.typing import NDArray
from ultralytics.engine.model import Model

from pipeline.config.devices import choose_one_device
from pipeline.core.detections import Detections
from pipeline.core.errors import UserError
from pipeline.core.tasks import Task
from pipeline.core.tiles.merge_tiles import merge_tile_detections
from pipeline.core.tiles.plan_tiles import plan_tiles
from pipeline.yolo.errors import explain_ultralytics_errors
from pipeline.yolo.inference.class_names import read_class_names
from pipeline.yolo.inference.masks import MaskPredictor, trace_outlines
from pipeline.yolo.inference.model_file import (
    is_checkpoint,
    load_checkpoint_model,
    open_exported_model,
    read_export_facts,
    require_task,
)
from pipeline.yolo.inference.nms import lift_time_limit, use_nms_kernel
from pipeline.yolo.torch_threads import TorchThreads
from pipeline.yolo.ultralytics_environment import limit_ultralytics_log


class InferenceSettings(TypedDict):
    """How to predict, under Ultralytics' names.

    `iou` is the threshold of the non-maximum suppression. `device` None is a GPU where there is one; of
    several devices the first one predicts. `threads` are CPU threads of torch, None for as many as there are
    free cores; `on_threads` is called at the end with their average number. `tile` is the side in pixels of
    the tiles in which a larger image is predicted on, None for no tiles; `overlap` is the least share of it
    that two neighbours have in common. `classes` are the only ones to find: others take no place of max_det.
    """

    imgsz: int
    conf: float
    iou: float
    max_det: int
    batch: int
    device: str | int | Sequence[int | str] | None
    threads: NotRequired[int | None]
    on_threads: NotRequired[Callable[[float], None]]
    tile: NotRequired[int | None]
    overlap: NotRequired[float]
    classes: NotRequired[list[int]]


_OWN_SETTINGS: Final = frozenset({"threads", "on_threads", "tile", "overlap"})
"""Those that are no arguments of Ultralytics."""
_STAGES_WITH_OPTIONS: Final = frozenset({"predict", "serve"})
"""Those whose device is an option of the command."""
DEFAULT_OVERLAP: Final = 0.2
_ALL_DETECTIONS: Final = 1_000_000
"""More than any network has: its own number is the limit."""


class LoadedModel(AbstractContextManager["LoadedModel"]):
    """A model in memory, for any number of predictions.

    Several threads may call `predict`: one of them computes at a time, and results are never mixed. Close it
    at the end, or use it as a context manager.

    Attributes:
        task: The task.
        names: Class names by index, as its training had them; of a file that Ultralytics itself exported,
            words instead of codes of ImageNet.
    """

    def __init__(
        self, weights: Path, *, task: Task | None = None, settings: InferenceSettings, stage: str = "predict"
    ) -> None:
        """Load a model; no code from a checkpoint is run.

        Args:
            weights: A checkpoint (.pt), or what Ultralytics exported: .onnx, .torchscript, a folder that ends
                in _openvino_model, and others whose packages are installed.
            task: The task that it must have; None for any.
            settings: See `InferenceSettings`. The imgsz of an exported file of fixed size must be its own.
            stage: Starts lines on the console; `evaluate` advises otherwise in errors.

        Raises:
            UserError: The file cannot be used, or is for another task.
        """
        limit_ultralytics_log()
        lift_time_limit()
        self._settings, self._stage, self._lock = settings, stage, threading.Lock()
        self._threads: TorchThreads | None = None
        self._model: Any = None
        self._arguments: dict[str, Any] = {
            name: value for name, value in settings.items() if name not in _OWN_SETTINGS
        }
        self._arguments["device"] = choose_one_device(settings.get("device"))
        self._is_checkpoint = is_checkpoint(weights)
        if self._is_checkpoint:
            self._load_checkpoint(weights, task)
        else:
            self._load_export(weights, task)
        if settings.get("tile") and self.task == "classify":
            raise UserError(
                f"{weights} classifies whole images, which tiles have no meaning for: set no tile"
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Release the model, and report the average number of threads. A second call does nothing."""
        with self._lock:
            threads, self._threads, self._model = self._threads, None, None
        if threads is None:
            return
        threads.__exit__(None, None, None)
        if report := self._settings.get("on_threads"):
            report(threads.read_average())

    def predict(self, images: Sequence[NDArray[np.uint8]]) -> list[Detections] | list[NDArray[np.float64]]:
        """Predict on images.

        Images of one shape share a batch, so an image is scaled by its own shape, and its result does not
        depend on the other images. With settings["tile"], the tiles of an image are such images.

        Args:
            images: (height, width, 3) BGR, of any sizes and number; settings["batch"] of them at a time.

        Returns:
            For each image in order its detections by descending score; of classify its probabilities
            (classes,).

        Raises:
            UserError: The memory is not enough.
        """
        side = self._settings.get("tile")
        if side is None:
            return self._predict_images(images)
        return [self._predict_tiles(image, side) for image in images]

    def _predict_tiles(self, image: NDArray[np.uint8], side: int) -> Detections:
        """Predict on the tiles of an image; an object that several show is found once."""
        size = (image.shape[1], image.shape[0])
        tiles = plan_tiles(size, side, self._settings.get("overlap", DEFAULT_OVERLAP))
        found: list[Any] = self._predict_images(
            [image[tile.top : tile.bottom, tile.left : tile.right] for tile in tiles]
        )
        if len(tiles) == 1:
            return cast(Detections, found[0])
        merged = merge_tile_detections(
            tiles, found, size, iou=self._settings["iou"], max_det=self._settings["max_det"]
        )
        return merged._replace(outlines=trace_outlines(merged.masks)) if merged.masks else merged

    def _predict_images(self, images: Sequence[NDArray[np.uint8]]) -> list[Any]:
        results: dict[int, Any] = {}
        for places in self._plan_batches(images):
            found = self.predict_batch([images[place] for place in places])
            results.update(zip(places, found, strict=True))
        return [results[place] for place in range(len(images))]

    def predict_batch(self, batch: Sequence[NDArray[np.uint8]]) -> list[Any]:
        """Predict on whole images of one shape, all at a time; see `predict`."""
        with self._lock:
            self._start_threads()
            return [_convert_result(result, self.task) for result in self._run(batch)]

    def time_stages(self, image: NDArray[np.uint8]) -> tuple[float, float, float]:
        """Predict on one image, and return the milliseconds of pre-processing, inference and post-processing.

        Post-processing is the non-maximum suppression, and of segment the masks. With settings["tile"] the
        times of all tiles are added.
        """
        side = self._settings.get("tile")
        parts = [image]
        if side is not None:
            tiles = plan_tiles(
                (image.shape[1], image.shape[0]), side, self._settings.get("overlap", DEFAULT_OVERLAP)
            )
            parts = [image[tile.top : tile.bottom, tile.left : tile.right] for tile in tiles]
        with self._lock:
            self._start_threads()
            times = [self._run([part])[0].speed for part in parts]
        first, second, third = (
            sum(each[name] for each in times) for name in ("preprocess", "inference", "postprocess")
        )
        return first, second, third

    def _plan_batches(self, images: Sequence[NDArray[np.uint8]]) -> list[list[int]]:
        """Return the places of the images of each batch."""
        groups: dict[Any, list[int]] = defaultdict(list)
        for place, image in enumerate(images):
            groups[None if self._mixes_shapes else image.shape].append(place)
        size = self._settings["batch"]
        return [
            group[start : start + size] for group in groups.values() for start in range(0, len(group), size)
        ]

    def _load_checkpoint(self, weights: Path, task: Task | None) -> None:
        self._model = load_checkpoint_model(weights, task, self._stage)
        self._model.add_callback("on_predict_start", self._set_up_predictor)
        self.task: Task = self._model.task
        self.names = read_class_names(self._model)
        self._mixes_shapes = self.task == "classify"  # it scales and crops each image to one size

    def _load_export(self, weights: Path, task: Task | None) -> None:
        """Load an exported file, and predict once: Ultralytics reads it then, and it is warm afterwards."""
        facts = read_export_facts(weights, self._stage)
        require_task(facts.task, task, weights, stage=self._stage)
        wanted = self._settings["imgsz"]
        if facts.imgsz and max(facts.imgsz) != wanted:
            raise UserError(
                f"{weights} takes images of {max(facts.imgsz)} pixels only: imgsz={wanted} is not possible"
            )
        self.task, self.names = facts.task, facts.names
        self._mixes_shapes = facts.task == "classify" or facts.imgsz is not None
        with open_exported_model(weights, facts.task, self._stage) as self._model:
            self._model.add_callback("on_predict_start", self._set_up_predictor)
            self._run([np.zeros((wanted, wanted, 3), np.uint8)])

    def _run(self, batch: Sequence[NDArray[np.uint8]]) -> list[Any]:
        if self._model is None:
            raise RuntimeError("this model is closed")
        kind = MaskPredictor if self.task == "segment" else None
        advice = "lower evaluate.batch" if self._stage == "evaluate" else "lower the batch, or the image size"
        imgsz, device = self._settings["imgsz"], self._settings.get("device")
        with explain_ultralytics_errors(
            batch=self._settings["batch"],
            imgsz=imgsz,
            device=device,
            memory_advice=advice,
            device_key="--device" if self._stage in _STAGES_WITH_OPTIONS else "finetune.device",
        ):
            found: list[Any] = (
                Model.predict(  # that of YOLOE takes another predictor, and suppresses across classes
                    self._model, list(batch), predictor=kind, **self._arguments, verbose=False, save=False
                )
            )
        return found

    def _set_up_predictor(self, predictor: Any) -> None:
        """Prepare a prediction when it starts: Ultralytics has just set up the head, threads and NMS."""
        if "classes" in self._settings and self._is_checkpoint and predictor.model.end2end:
            # the head takes the best detections of all classes before those of others are left out
            predictor.model.model.set_head_attr(max_det=_ALL_DETECTIONS)
        if predictor.device.type != "cpu":
            return
        if self._threads is not None:
            self._threads.restore()
        if self._is_checkpoint:
            use_nms_kernel(predictor)

    def _start_threads(self) -> None:
        """Adapt the number of threads to the load, from the first prediction on, in its thread."""
        if self._threads is None:
            on_cpu = self._settings.get("device") == "cpu" or not torch.cuda.is_available()
            self._threads = TorchThreads(self._settings.get("threads"), stage=self._stage, fast=on_cpu)
            self._threads.__enter__()


def _convert_result(result: Any, task: Task) -> Any:
    """Convert Ultralytics' result of one image to Detections, or of classify to probabilities (classes,)."""
    if task == "classify":
        return _to_numpy(result.probs.data)
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
