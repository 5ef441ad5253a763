"""The precision of a training: bf16 on the processor, too, which Ultralytics has for CUDA alone.

There the forward pass is under autocast, in NHWC.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Mapping
from typing import Any, Final

import torch
from ultralytics import utils
from ultralytics.nn.tasks import BaseModel

from pipeline.storage import files

LOG = logging.getLogger("ultralytics")

INSTRUCTIONS: Final = ("avx512_bf16", "amx_bf16", "bf16")
"""x86 and ARM names; a processor without them computes bf16 through fp32, slower than fp32 itself."""


def on_processor(precision: str, able: Mapping[str, object] | None = None) -> str:
    """Choose fp32 or bf16 for the CPU: bf16 only where the processor has instructions for it.

    Args:
        precision: auto, fp32 or bf16.
        able: The processor's capabilities as torch names them; those of this one where None.
    """
    able = torch.cpu.get_capabilities() if able is None else able
    return "bf16" if precision != "fp32" and any(able.get(name) for name in INSTRUCTIONS) else "fp32"


def on_cuda(precision: str, amp: bool | str, able: bool | None = None) -> bool | str:
    """Choose Ultralytics' `amp` for a training on a GPU.

    `amp: true` means fp16 behind a check that downloads a model; bf16 needs neither the check nor a loss
    scaler, so it stands in wherever the GPU has it. `amp: fp16` still asks for Ultralytics' way, and so does
    `amp: true` on a GPU without bf16: fp32 would be slower than `yolo train` there.

    Args:
        precision: auto, fp32 or bf16.
        amp: finetune.amp.
        able: Whether the GPU computes in bf16; what PyTorch says of the current one where None.
    """
    if precision == "fp32":
        return False
    if precision == "bf16" or amp in {True, "bf16"}:
        able = torch.cuda.is_bf16_supported(including_emulation=False) if able is None else able
        return "bf16" if able else precision == "auto"
    return amp


def settle(trainer: Any) -> bool:
    """Choose the precision of a trainer that knows its device, and say where bf16 was asked for in vain.

    Returns:
        Whether `lower` is due: on the processor.
    """
    wanted, device, arguments = trainer.job.precision, trainer.device, trainer.args
    asked = wanted != "fp32" and "bf16" in {wanted, arguments.amp}
    arguments.amp = device.type == "cuda" and on_cuda(wanted, arguments.amp)
    if arguments.amp in {True, "fp16"}:
        utils.WEIGHTS_DIR = files.scratch("weights")  # for the check's model: else it lands beside the code
    lowered = device.type == "cpu" and on_processor(wanted) == "bf16"
    lowered &= arguments.distill_model is None  # the projector to a teacher computes in fp32
    if asked and not lowered and arguments.amp != "bf16":
        used = "fp16" if arguments.amp else "fp32"
        LOG.warning(f"bf16 was asked for, but the network cannot compute in it on {device}: {used} is used")
    return lowered


class Bf16Model(BaseModel):  # type: ignore[misc]
    """A model whose training forward runs in bf16; losses and validation stay fp32."""

    def _predict_once(self, x: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        x = x.contiguous(memory_format=torch.channels_last)
        if not self.training:
            return super()._predict_once(x, *args, **kwargs)
        with torch.autocast("cpu", torch.bfloat16):
            outputs = super()._predict_once(x, *args, **kwargs)
        return _float(outputs)


def lower(model: torch.nn.Module) -> None:
    """Make a model of any task compute its training forward in bf16."""
    model.__class__ = _lowered(type(model))  # type: ignore[arg-type] # a class is hashable
    model.to(memory_format=torch.channels_last)


def restore(model: torch.nn.Module) -> None:
    """Make it an ordinary NCHW model of Ultralytics' own class again, such as belongs in a checkpoint."""
    model.__class__ = type(model).__bases__[1]
    model.to(memory_format=torch.contiguous_format)


@functools.cache
def _lowered(kind: Any) -> Any:
    return type(f"Lowered{kind.__name__}", (Bf16Model, kind), {})


def _float(outputs: Any) -> Any:
    if isinstance(outputs, torch.Tensor):
        return outputs.float()
    if isinstance(outputs, dict):
        return {key: _float(value) for key, value in outputs.items()}
    return type(outputs)(map(_float, outputs))
