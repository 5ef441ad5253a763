"""Check torch: that it can be imported, and that it can use the GPU that is there or asked for."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pipeline.core.errors import UserError
from pipeline.doctor.check_finding import CheckFinding

if TYPE_CHECKING:
    from pipeline.doctor.examined_project import ExaminedProject

COMMAND: Final = (sys.executable, "-m", "pipeline.yolo.torch_facts")
NVIDIA_DEVICES: Final = Path("/dev")
"""Where the driver of NVIDIA shows its GPUs: nvidia0, nvidia1, ..."""


def start_torch() -> subprocess.Popen[str]:
    """Start the process that imports torch; it takes seconds, in which other checks run."""
    pipes: dict[str, Any] = {
        "stdin": subprocess.DEVNULL,
        "stdout": subprocess.PIPE,
        "stderr": subprocess.PIPE,
    }
    return subprocess.Popen(COMMAND, cwd=Path(__file__).parents[3], text=True, **pipes)


def check_torch(project: ExaminedProject) -> Iterator[CheckFinding]:
    """Check that torch can be imported, and its device."""
    output, errors = project.torch.communicate()
    try:
        facts = json.loads(output.splitlines()[-1])
    except (IndexError, ValueError):
        lines = [line for line in errors.splitlines() if line.strip()]
        reason = lines[-1].strip()[:200] if lines else f"it ended with {project.torch.returncode}"
        yield CheckFinding("fault", f"torch cannot be imported: {reason}", "run `make setup`")
        return
    device: Any = None
    with suppress(UserError, ImportError):
        device = project.config.finetune.device
    yield judge_device(facts, device, has_gpu=any(NVIDIA_DEVICES.glob("nvidia[0-9]*")))


def judge_device(facts: Mapping[str, Any], device: Any, *, has_gpu: bool) -> CheckFinding:
    """Judge what torch can use.

    Args:
        facts: As `pipeline.yolo.torch_facts` prints them.
        device: finetune.device; None for Ultralytics' own choice.
        has_gpu: Whether the machine has an NVIDIA GPU.
    """
    gpus = ", ".join(facts["devices"])
    name = f"torch {facts['version']}"
    if not gpus and _asks_for_gpu(device):
        seen = f"finetune.device={device} asks for a GPU, and {name} finds none{_explain(facts)}"
        return CheckFinding(
            "fault", seen, "set finetune.device=cpu, or install the driver and a torch for CUDA"
        )
    if beyond := [number for number in _list_gpu_numbers(device) if number >= len(facts["devices"])]:
        seen = f"finetune.device={device} asks for GPU {beyond[0]}, and {name} finds {len(facts['devices'])}"
        return CheckFinding("fault", seen, "set finetune.device to GPUs that are there, counted from 0")
    if str(device) == "mps" and not facts["mps"]:
        return CheckFinding(
            "fault", f"finetune.device=mps, and {name} finds no Apple GPU", "set finetune.device=null"
        )
    if has_gpu and not facts["cuda"]:
        seen = f"{name} was built for the CPU alone: it does not use the GPU of this machine"
        return CheckFinding(
            "warning", seen, "run `make setup`, which installs the torch of requirements.lock"
        )
    if has_gpu and not gpus:
        seen = f"{name} cannot use the GPU of this machine{_explain(facts)}"
        return CheckFinding(
            "warning", seen, "install a driver for this CUDA (`nvidia-smi` shows the present one)"
        )
    return CheckFinding("ok", f"{name}, {gpus or 'CPU'} ({facts['capability']})")


def _asks_for_gpu(device: Any) -> bool:
    return bool(_list_gpu_numbers(device))


def _list_gpu_numbers(device: Any) -> list[int]:
    """Return the GPUs that a device names; Ultralytics takes 0, [0, 1], "0,1" and cuda:0."""
    parts = str([] if device is None else device).strip("[]").split(",")
    numbers = [part.strip().removeprefix("cuda:") for part in parts]
    return [int(number) for number in numbers if number.isdecimal()]


def _explain(facts: Mapping[str, Any]) -> str:
    return f" ({facts['error']})" if facts["error"] else ""
