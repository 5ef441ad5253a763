"""Non-maximum suppression by torchvision's kernel, without importing the rest of torchvision.

Ultralytics imports torchvision before it predicts, for this one function. The import also loads
torch._dynamo, sympy and Triton: more than a second of CPU time, for modules that prediction does not use.
Ultralytics' own substitute in plain PyTorch finds the same boxes, but takes 15 s for 5,000 of them where the
kernel takes 0.08 s.
"""

from __future__ import annotations

import functools
import logging
import math
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import torch
from ultralytics.utils import nms
from ultralytics.utils.nms import TorchNMS

LOG = logging.getLogger(__name__)

KERNEL_FILES: Final = "_C_stable.*"
"""The library with torchvision's operators, in the folder of that package. Not part of its public API."""


def lift_time_limit() -> None:
    """Let NMS finish with every image, in predictions and validations of this process.

    After 2 s and 0.05 s per image of a batch Ultralytics stops, and the other images have no detections:
    with rotated boxes, whose NMS is quadratic, or on a busy machine. The only trace is a line in the log.
    """
    if not isinstance(nms.non_max_suppression, functools.partial):
        nms.non_max_suppression = functools.partial(nms.non_max_suppression, max_time_img=math.inf)


def use_nms_kernel(predictor: Any) -> None:
    """Let a predictor on the CPU use the kernel. Call it before the first batch.

    On the CPU the predictor's warm-up only imports torchvision, so it is marked as done. If torchvision is
    imported elsewhere, Ultralytics calls the kernel through it. Where the kernel is not found, nothing
    changes: the warm-up imports torchvision.
    """
    if kernel := _load_kernel():
        TorchNMS.nms = kernel
        predictor.done_warmup = True


@functools.cache
def _load_kernel() -> Any:
    package = find_spec("torchvision")
    folder = Path(package.origin).parent if package and package.origin else None
    operators: Any = torch.ops
    with suppress(OSError, AttributeError):  # built for other libraries, or without the operator
        for library in folder.glob(KERNEL_FILES) if folder else ():
            operators.load_library(library)
        return operators.torchvision.nms
    LOG.debug(
        "no NMS kernel in %s: Ultralytics imports torchvision instead", folder and folder / KERNEL_FILES
    )
    return None
