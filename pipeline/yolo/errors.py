"""What Ultralytics and torch raise when a user can mend it, in one sentence that says how."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import torch

from pipeline.core.errors import UserError
from pipeline.core.tasks import Task

MEMORY: Final = ("out of memory", "not enough memory", "can't allocate memory", "CUBLAS_STATUS_ALLOC_FAILED")


LEANER: Final = "lower finetune.batch or finetune.imgsz, or set finetune.cache=false"


@contextmanager
def in_one_sentence(*, batch: Any, imgsz: int, device: Any, leaner: str = LEANER) -> Iterator[None]:
    """Turn the errors that a configuration can cause into Refused.

    Args:
        batch: Images at a time.
        imgsz: finetune.imgsz, pixels.
        device: finetune.device.
        leaner: What takes less memory.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, MemoryError) or any(sign in str(error) for sign in MEMORY):
            raise UserError(
                f"the memory is not enough for batches of {batch} at {imgsz} pixels: {leaner}"
            ) from None
        raise
    except ValueError as error:
        raise _refusal(error, device) or error from None


def one_device(device: Any) -> None:
    """Refuse a device that is absent, and several at once.

    Raises:
        Refused: With what there is.
    """
    named = str(device).strip("[]() ").replace("cuda:", "").replace("cuda", "0")
    if "," in named:
        raise UserError(f"finetune.device={device} names several GPUs, and one training uses one: name one")
    count = torch.cuda.device_count()
    without_mps = named == "mps" and not torch.backends.mps.is_available()
    if without_mps or (named.isdigit() and int(named) >= count):
        raise UserError(
            f"finetune.device={device} is absent ({count} GPUs here): set finetune.device=cpu or null"
        )


def without_effect(arguments: Mapping[str, Any], task: Task) -> None:
    """Refuse arguments that a classification passes over without a word, or cannot use.

    Raises:
        Refused: With the first such argument.
    """
    if task != "classify":
        return
    for name in ("single_cls", "rect", "multi_scale", "cls_pw", "distill_model"):
        if arguments[name]:
            value, none = str(arguments[name]).lower(), "null" if name == "distill_model" else "0 or false"
            raise UserError(
                f"finetune.{name}={value} has no meaning where the task is classify: set it to {none}"
            )
    scale = arguments["scale"]
    if isinstance(scale, list) or scale > 1:
        raise UserError(
            f"augment.online.scale={scale} is not allowed where the task is classify: "
            "it must be a number from 0 to 1, the share that may be cropped away"
        )


def _refusal(error: ValueError, device: Any) -> UserError | None:
    if "'device=" in str(error):
        return UserError(f"finetune.device={device} is absent: set finetune.device=cpu, or null")
    if "BatchNorm" in str(error) or "more than 1 value per channel" in str(error):
        return UserError(
            "the last batch is one tiny image, which BatchNorm cannot use: change finetune.batch"
        )
    return None
