"""Measure a trained model: its time per image, and its parameters."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any, Final

import cv2
import numpy as np
import torch
from ultralytics import YOLO

from pipeline.config.devices import choose_one_device
from pipeline.core.errors import UserError
from pipeline.storage.verified_copy import temporary_copy
from pipeline.yolo.ultralytics_environment import limit_ultralytics_log

WARMUP_IMAGES: Final = 5
TIMED_IMAGES: Final = 60
MIN_TIMED: Final = 20
"""Images are timed again where there are fewer."""


def measure_milliseconds(weights: Path, images: Sequence[Path], *, imgsz: int, device: Any) -> float:
    """Return the median time per image, in milliseconds: from pixels to detections.

    Args:
        weights: An Ultralytics checkpoint.
        images: Image files; the first ones are used, one at a time.
        imgsz: The size in pixels that the model was trained at.
        device: As finetune.device has it; of several GPUs the first one is used.

    Raises:
        UserError: There is no image.
    """
    if not images:
        raise UserError("there are no val images to measure the time per image on")
    limit_ultralytics_log()
    pixels = [cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR) for path in images[:TIMED_IMAGES]]
    with temporary_copy(weights) as copy:
        model = YOLO(copy)
    settings = {
        "imgsz": imgsz,
        "device": choose_one_device(device),
        "batch": 1,
        "verbose": False,
        "save": False,
    }
    for image in (pixels * WARMUP_IMAGES)[:WARMUP_IMAGES]:
        model.predict(image, **settings)
    times: list[float] = []
    while len(times) < min(MIN_TIMED, TIMED_IMAGES):
        for image in pixels:
            _synchronize()
            start = time.perf_counter()
            model.predict(image, **settings)
            _synchronize()
            times.append(time.perf_counter() - start)
    return round(median(times) * 1000, 3)


def count_parameters(weights: Path) -> int:
    """Return the number of parameters of a checkpoint's model."""
    with temporary_copy(weights) as copy:
        model: Any = YOLO(copy).model
    return sum(parameter.numel() for parameter in model.parameters())


def _synchronize() -> None:
    """Wait for the GPU, which works on after a call has returned."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
