"""Print what torch can use on this machine, as JSON: `python -m pipeline.yolo.torch_facts`.

A process of its own: importing torch takes seconds, and a broken driver or library ends the process.
"""

from __future__ import annotations

import json
import sys
from typing import Any


def read_torch_facts() -> dict[str, Any]:
    """Return the version of torch, the GPUs that it can use, and how it computes on the CPU.

    Returns:
        version: such as `2.15.0+cpu`; cuda: the CUDA version that torch was built for, or None; devices: the
        names of the GPUs; error: why there is none although torch was built for CUDA; capability: the
        instructions that torch uses on the CPU, such as `AVX512`; mps: whether Apple's GPU can be used.
    """
    import torch

    devices, error = [], ""
    if torch.version.cuda:
        try:
            torch.cuda.init()  # type: ignore[no-untyped-call]  # unlike is_available, it says why not
            devices = [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())]
        except Exception as failure:
            error = " ".join(str(failure).split())[:200]
    return {
        "version": torch.__version__,
        "cuda": torch.version.cuda,
        "devices": devices,
        "error": error,
        "capability": torch.backends.cpu.get_cpu_capability(),
        "mps": bool(torch.backends.mps.is_available()),
    }


if __name__ == "__main__":
    sys.stdout.write(f"{json.dumps(read_torch_facts(), allow_nan=False)}\n")
