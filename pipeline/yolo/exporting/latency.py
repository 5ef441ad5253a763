"""Compare the time per image of two models, in turn, so that the load of the machine affects both alike."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any, Final, NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.core.errors import UserError
from pipeline.core.tasks import Task
from pipeline.runtime.worker_count import count_available_cores
from pipeline.yolo.inference.loaded_model import InferenceSettings, LoadedModel

WARMUP_IMAGES: Final = 5
TIMED_IMAGES: Final = 50


class LatencyComparison(NamedTuple):
    """Median time per image from pixels to results, one image at a time.

    Attributes:
        first: Milliseconds of the first model.
        second: Milliseconds of the second model.
        device: cpu, or the name of a GPU.
        threads: CPU threads of torch; other runtimes use all physical cores.
    """

    first: float
    second: float
    device: str
    threads: int


def compare_latency(
    first: Path, second: Path, images: Sequence[Path], *, task: Task, settings: InferenceSettings
) -> LatencyComparison:
    """Measure two models in turn on the same images.

    Args:
        first: A checkpoint or an exported file.
        second: Another one.
        images: Image files; the first 50 are used, again where there are fewer.
        task: The task of both.
        settings: Used but batch and threads: one image at a time, and a thread per physical core.

    Raises:
        UserError: There is no image, or a file cannot be loaded.
    """
    pixels = [_read_image(path) for path in images[:TIMED_IMAGES]]
    if not pixels:
        raise UserError("there are no images to measure the time per image on")
    threads = count_available_cores(physical=True)
    alone: Any = {**settings, "batch": 1, "threads": threads}
    turns = (pixels * (TIMED_IMAGES // len(pixels) + 1))[:TIMED_IMAGES]
    with (
        LoadedModel(first, task=task, settings=alone, stage="export") as here,
        LoadedModel(second, task=task, settings=alone, stage="export") as there,
    ):
        for image in turns[:WARMUP_IMAGES]:
            _time_one(here, image), _time_one(there, image)
        times = [(_time_one(here, image), _time_one(there, image)) for image in turns]
    of_first, of_second = zip(*times, strict=True)
    return LatencyComparison(
        _to_milliseconds(of_first), _to_milliseconds(of_second), _name_device(settings["device"]), threads
    )


def _time_one(model: LoadedModel, image: NDArray[np.uint8]) -> float:
    _synchronize()
    start = time.perf_counter()
    model.predict_batch([image])
    _synchronize()
    return time.perf_counter() - start


def _to_milliseconds(seconds: Sequence[float]) -> float:
    return round(median(seconds) * 1000, 3)


def _name_device(device: Any) -> str:
    if device == "cpu" or not torch.cuda.is_available():
        return "cpu"
    return str(torch.cuda.get_device_name())


def _synchronize() -> None:
    """Wait for the GPU, which works on after a call has returned."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def _read_image(path: Path) -> NDArray[np.uint8]:
    image = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR)
    if image is None:
        raise UserError(f"{path} cannot be read as an image: run prepare again")
    return image.astype(np.uint8, copy=False)
