"""Compare the time per image of two models, in turn, so that the load of the machine affects both alike."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any, Final, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.core.errors import UserError
from pipeline.core.tasks import Task
from pipeline.runtime.worker_count import count_available_cores
from pipeline.yolo.inference.latency import name_device
from pipeline.yolo.inference.loaded_model import InferenceSettings, LoadedModel
from pipeline.yolo.inference.predict import read_prepared_image

ROUNDS: Final = 5
WARMUP_IMAGES: Final = 3
"""Of each model in each round: the threads of the other model's runtime may go on for a while."""
TIMED_IMAGES: Final = 10
"""Of each model in each round."""


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
        images: Image files; 50 are timed, the same ones again where there are fewer.
        task: The task of both.
        settings: Used but batch and threads: one image at a time, and a thread per physical core.

    Raises:
        UserError: There is no image, or a file cannot be loaded.
    """
    pixels = [read_prepared_image(path) for path in images[: ROUNDS * TIMED_IMAGES]]
    if not pixels:
        raise UserError("there are no images to measure the time per image on")
    threads = count_available_cores(physical=True)
    alone: Any = {**settings, "batch": 1, "threads": threads}
    times: tuple[list[float], list[float]] = ([], [])
    with (
        LoadedModel(first, task=task, settings=alone, stage="export") as here,
        LoadedModel(second, task=task, settings=alone, stage="export") as there,
    ):
        for turn in range(ROUNDS):
            for model, found in zip((here, there), times, strict=True):
                found += _time_images(model, _select_images(pixels, turn))
    device = name_device(settings["device"])
    return LatencyComparison(_to_milliseconds(times[0]), _to_milliseconds(times[1]), device, threads)


def _select_images(pixels: Sequence[NDArray[np.uint8]], turn: int) -> list[NDArray[np.uint8]]:
    """Return the images of a round: the first ones to warm up, then those that are timed."""
    start = turn * TIMED_IMAGES
    places = [*range(WARMUP_IMAGES), *range(start, start + TIMED_IMAGES)]
    return [pixels[place % len(pixels)] for place in places]


def _time_images(model: LoadedModel, images: Sequence[NDArray[np.uint8]]) -> list[float]:
    """Return the seconds of each image after those that warm up."""
    times = []
    for image in images:
        _synchronize()
        start = time.perf_counter()
        model.predict([image])
        _synchronize()
        times.append(time.perf_counter() - start)
    return times[WARMUP_IMAGES:]


def _to_milliseconds(seconds: Sequence[float]) -> float:
    return round(median(seconds) * 1000, 3)


def _synchronize() -> None:
    """Wait for the GPU, which works on after a call has returned."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
