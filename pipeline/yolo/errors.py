"""Turn errors of Ultralytics and torch that a user can fix into one sentence that says how."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import torch

from pipeline.config.devices import list_devices
from pipeline.core.errors import UserError
from pipeline.core.tasks import Task

OUT_OF_MEMORY_SIGNS: Final = (
    "out of memory",
    "not enough memory",
    "can't allocate memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "no usable batch size found",  # AutoBatch: not even one image fits
)

MAX_CLASSIFY_HUE: Final = 0.5
"""Of torchvision's ColorJitter, which classify uses without auto_augment."""

MEMORY_ADVICE: Final = "lower finetune.batch or finetune.imgsz, or set finetune.cache=false"


@contextmanager
def explain_ultralytics_errors(
    *,
    batch: Any,
    imgsz: int,
    device: Any,
    memory_advice: str = MEMORY_ADVICE,
    device_key: str = "finetune.device",
) -> Iterator[None]:
    """Turn the errors that a configuration can cause into UserError.

    Args:
        batch: Images in a batch; below 1 for AutoBatch.
        imgsz: finetune.imgsz, pixels.
        device: The device that the user names.
        memory_advice: How to use less memory.
        device_key: What sets the device.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, MemoryError) or any(sign in str(error) for sign in OUT_OF_MEMORY_SIGNS):
            size = f"batches of {batch}" if batch >= 1 else f"the batches of finetune.batch={batch}"
            raise UserError(
                f"the memory is not enough for {size} at {imgsz} pixels: {memory_advice}"
            ) from None
        raise
    except ValueError as error:
        raise _explain_value_error(error, f"{device_key}={device}", device_key) or error from None


def check_device(device: Any) -> None:
    """Check that the devices of `finetune.device` exist.

    Raises:
        UserError: One is absent.
    """
    names = ["0" if name == "cuda" else name for name in list_devices(device)]
    count = torch.cuda.device_count()
    without_mps = "mps" in names and not torch.backends.mps.is_available()
    if without_mps or any(name.isdigit() and int(name) >= count for name in names):
        raise UserError(
            f"finetune.device={device} is absent ({count} GPUs here): set finetune.device=cpu or null"
        )


def check_automatic_batch(batch: float, device: Any) -> None:
    """Check that `finetune.batch` is a number of images where the training has no CUDA GPU to measure.

    Args:
        batch: finetune.batch; below 1 for Ultralytics' AutoBatch, which would take 16 on a CPU.
        device: finetune.device.

    Raises:
        UserError: It is -1 or a share, and the training does not run on a CUDA GPU.
    """
    if batch >= 1 or (torch.cuda.is_available() and not {"cpu", "mps"} & {*list_devices(device)}):
        return
    raise UserError(
        f"finetune.batch={batch} measures the memory of a CUDA GPU, and this training has none: "
        "set finetune.batch to a number of images, such as 16"
    )


def check_task_arguments(arguments: Mapping[str, Any], task: Task) -> None:
    """Check that no argument is set that a training of this task ignores or cannot use.

    Args:
        arguments: Ultralytics' train arguments under their own names.
        task: Of the images.

    Raises:
        UserError: Names the first such argument.
    """
    for key, tasks in (("finetune.dropout", {"classify"}), ("augment.online.copy_paste", {"segment", "obb"})):
        if (value := arguments[key.rpartition(".")[2]]) and task not in tasks:
            raise UserError(f"{key}={value:g} has no effect where the task is {task}: set it to 0")
    if task != "classify":
        return
    for name in ("single_cls", "rect", "multi_scale", "cls_pw", "distill_model"):
        if arguments[name]:
            value, unset = str(arguments[name]).lower(), "null" if name == "distill_model" else "0 or false"
            raise UserError(
                f"finetune.{name}={value} has no meaning where the task is classify: set it to {unset}"
            )
    scale = arguments["scale"]
    if isinstance(scale, list):
        raise UserError(
            f"augment.online.scale={scale} is not allowed where the task is classify: "
            "it must be a number from 0 to 1, the share that may be cropped away"
        )
    hue = arguments["hsv_h"]
    if hue > MAX_CLASSIFY_HUE and not arguments["auto_augment"]:
        raise UserError(
            f"augment.online.hsv_h={hue:g} is not allowed where the task is classify: set it to "
            f"{MAX_CLASSIFY_HUE} at most, by which a hue becomes any other"
        )


def _explain_value_error(error: ValueError, device: str, device_key: str) -> UserError | None:
    if "'device=" in str(error):
        return UserError(f"{device} is absent: set {device_key}=cpu, or null")
    if "BatchNorm" in str(error) or "more than 1 value per channel" in str(error):
        return UserError(
            "the last batch is one tiny image, which BatchNorm cannot use: change finetune.batch"
        )
    return None
