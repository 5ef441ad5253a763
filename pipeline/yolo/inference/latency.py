"""Measure the time per image of a model, one image at a time: pre-processing, inference, NMS."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from itertools import cycle, islice
from pathlib import Path
from statistics import median
from typing import Any, Final, NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.config.devices import list_devices
from pipeline.core.errors import UserError
from pipeline.core.tasks import Task
from pipeline.runtime.cpu_load import CpuLoadMeter
from pipeline.yolo.inference.loaded_model import InferenceSettings, LoadedModel

WARMUP_IMAGES: Final = 3
MAX_SECONDS: Final = 5.0
"""A large model on a CPU is measured on fewer images than asked for, but on at least `MIN_IMAGES`."""
MIN_IMAGES: Final = 10
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
        count: Images to time, at least 1; fewer where they take longer than 5 s, but not fewer than 10.
        task: The task of the weights.
        settings: Used but `batch` and `on_threads`. Without a number of threads there is one per physical
            core, and fewer while other processes are busy.

    Raises:
        UserError: An image cannot be read, or the weights cannot be loaded.
    """
    threads: list[float] = []
    alone: Any = {**settings, "batch": 1, "on_threads": threads.append}
    pixels = [_read_image(path) for path in images[: min(count, MAX_DECODED)]]
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
        device=_name_device(settings["device"]),
        threads=round(threads[0], 1),
        busy=round(load.read().others, 2),
    )


def _time_images(
    model: LoadedModel, images: Iterator[NDArray[np.uint8]]
) -> Iterator[tuple[float, float, float]]:
    start = time.monotonic()
    for number, image in enumerate(images):
        if number >= MIN_IMAGES and time.monotonic() - start > MAX_SECONDS:
            return
        yield model.time_stages(image)


def _name_device(device: Any) -> str:
    if list_devices(device)[:1] == ["cpu"] or not torch.cuda.is_available():
        return "cpu"
    return str(torch.cuda.get_device_name())


def _read_image(path: Path) -> NDArray[np.uint8]:
    image = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR)
    if image is None:
        raise UserError(f"{path} cannot be read as an image: run prepare again")
    return image.astype(np.uint8, copy=False)
