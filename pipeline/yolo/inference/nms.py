"""Non-maximum suppression by torchvision's kernel, without the rest of torchvision.

Ultralytics imports torchvision before it predicts, for this one function. That loads torch._dynamo, sympy and
Triton beside it: more than a second of processor time that nothing here has a use for. Its own substitute in
plain PyTorch gives the same boxes, and takes 15 seconds for 5,000 of them where the kernel takes 0.08.
"""

from __future__ import annotations

import functools
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import torch
from ultralytics.utils.nms import TorchNMS

KERNELS: Final = "_C_stable.*"
"""The library with torchvision's operators, in its folder."""


def by_kernel(predictor: Any) -> None:
    """Have a predictor on the processor suppress by the kernel; call it before its first batch.

    There its warm-up does nothing but import torchvision, so it counts as done. Once torchvision is imported
    by somebody else, Ultralytics calls the kernel through it. Where the library is not found, all is as ever.
    """
    if kernel := _kernel():
        TorchNMS.nms = kernel
        predictor.done_warmup = True


@functools.cache
def _kernel() -> Any:
    found = find_spec("torchvision")
    libraries = [*Path(found.origin).parent.glob(KERNELS)] if found and found.origin else []
    operators: Any = torch.ops
    with suppress(OSError, AttributeError):  # built for other libraries, or without the operator
        for library in libraries:
            operators.load_library(library)
        return operators.torchvision.nms
    return None
