"""Measure the time per image of a model, one image at a time: pre-processing, inference, NMS."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from itertools import cycle, islice
from pathlib import Path
from statistics import median
from typing import Any, Final, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.config.devices import list_devices
from pipeline.core.tasks import Task
from pipeline.runtime.cpu_load import CpuLoadMeter
from pipeline.yolo.inference.loaded_model import InferenceSettings, LoadedModel
from pipeline.yolo.inference.predict import read_prepared_image

WARMUP_IMAGES: Final = 3
MIN_IMAGES: Final = 50
"""A median of fewer depends on chance: so many are timed if they are asked for, however slow the model."""
MAX_SECONDS: Final = 5.0
"""After `MIN_IMAGES`, no further image is begun that late."""
LIMIT_SECONDS: Final = 300.0
"""No image is begun that late: a model that needs more than 6 s per image is measured on fewer."""
MAX_DECODED: Final = 50
"""Images that are decoded; with more to measure, they are used again."""


class Latency(NamedTuple):
    """The median time per image in milliseconds, and what it was measured with.

    Attributes:
        preprocess: From the image's pixels to the network's input.
        inference: Of the network.
        postprocess: Non-maximum suppression, and of segment the masks.
        total: Of all three; the median of their sums.
        images: Images that were timed, each alone.
        imgsz: The size that the network got, in pixels.
        device: cpu, or the name of a GPU.
        threads: The average number of CPU threads of torch.
        busy: Cores that other processes used in the meantime: with many, the times are too long.
    """

    preprocess: float
    inference: float
    postprocess: float
    total: float
    images: int
    imgsz: int
    device: str
    threads: float
    busy: float


def measure_latency(
    weights: Path, images: Sequence[Path], *, count: int, task: Task, settings: InferenceSettings
) -> Latency:
    """Measure the time per image of a model.

    Args:
        weights: A checkpoint or an exported file.
        images: Image files, at least one; used again where there are fewer than `count`.
        count: Images to time, at least 1. Of more than 50, only as many as 5 s allow; of the first 50, only
            as many as five minutes allow.
        task: The task of the weights.
        settings: Used but `batch` and `on_threads`. Without a number of threads there is one per physical
            core, and fewer while other processes are busy.

    Raises:
        UserError: An image cannot be read, or the weights cannot be loaded.
    """
    threads: list[float] = []
    alone: Any = {**settings, "batch": 1, "on_threads": threads.append}
    pixels = [read_prepared_image(path) for path in images[: min(count, MAX_DECODED)]]
    with LoadedModel(weights, task=task, settings=alone, stage="evaluate") as model:
        for image in islice(cycle(pixels), WARMUP_IMAGES):
            model.time_stages(image)
        load = CpuLoadMeter()
        times = np.array(list(_time_images(model, islice(cycle(pixels), count))))
    first, second, third = np.median(times, axis=0).round(3).tolist()
    total = round(median(times.sum(axis=1).tolist()), 3)
    return Latency(
        preprocess=first,
        inference=second,
        postprocess=third,
        total=total,
        images=len(times),
        imgsz=settings["imgsz"],
        device=name_device(settings["device"]),
        threads=round(threads[0], 1),
        busy=round(load.read().others, 2),
    )


def _time_images(
    model: LoadedModel, images: Iterator[NDArray[np.uint8]]
) -> Iterator[tuple[float, float, float]]:
    start = time.monotonic()
    for number, image in enumerate(images):
        limit = MAX_SECONDS if number >= MIN_IMAGES else LIMIT_SECONDS
        if number and time.monotonic() - start > limit:
            return
        yield model.time_stages(image)


def name_device(device: Any) -> str:
    """Return what a measurement ran on: cpu, or the name of a GPU."""
    if list_devices(device)[:1] == ["cpu"] or not torch.cuda.is_available():
        return "cpu"
    return str(torch.cuda.get_device_name())
