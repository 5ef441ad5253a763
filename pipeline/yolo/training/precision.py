"""Precision of a training: fp32, fp16 or bf16. Ultralytics has bf16 only on CUDA; here a CPU can use it too.

On the CPU the forward pass runs under autocast, in NHWC.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Mapping
from typing import Any, Final

import torch
from ultralytics import utils
from ultralytics.nn.distill_model import DistillationModel
from ultralytics.nn.tasks import BaseModel
from ultralytics.utils.torch_utils import autocast

from pipeline.storage.scratch_folder import create_scratch_folder

LOG = logging.getLogger("ultralytics")

BF16_INSTRUCTIONS: Final = ("avx512_bf16", "amx_bf16", "bf16")
"""x86 and ARM names. A CPU without them computes bf16 through fp32, slower than fp32 itself."""


def choose_cpu_precision(precision: str, capabilities: Mapping[str, object] | None = None) -> str:
    """Choose fp32 or bf16 for the CPU: bf16 only where the CPU has instructions for it.

    Args:
        precision: auto, fp32 or bf16.
        capabilities: Of the CPU, under torch's names; None for those of this CPU.
    """
    capabilities = torch.cpu.get_capabilities() if capabilities is None else capabilities
    bf16 = precision != "fp32" and any(capabilities.get(name) for name in BF16_INSTRUCTIONS)
    return "bf16" if bf16 else "fp32"


def choose_cuda_amp(precision: str, amp: bool | str, has_bf16: bool | None = None) -> bool | str:
    """Choose Ultralytics' `amp` for a training on a GPU.

    `amp: true` means fp16, after a check that downloads a model. bf16 needs neither the check nor a loss
    scaler, so it is used wherever the GPU has it. `amp: fp16` keeps Ultralytics' way, and so does `amp: true`
    on a GPU without bf16: fp32 would be slower than `yolo train` there.

    Args:
        precision: auto, fp32 or bf16.
        amp: finetune.amp.
        has_bf16: Whether the GPU computes in bf16; None to ask PyTorch about the current GPU.
    """
    if precision == "fp32":
        return False
    if precision == "bf16" or amp in {True, "bf16"}:
        if has_bf16 is None:
            has_bf16 = torch.cuda.is_bf16_supported(including_emulation=False)
        return "bf16" if has_bf16 else precision == "auto"
    return amp


def set_precision(trainer: Any) -> bool:
    """Choose the precision of a trainer that knows its device. Warn where bf16 is wanted but not possible.

    Returns:
        Whether `enable_bf16` has to be called on the model: on a CPU only.
    """
    wanted, device, arguments = trainer.job.precision, trainer.device, trainer.args
    bf16_wanted = wanted != "fp32" and "bf16" in {wanted, arguments.amp}
    arguments.amp = device.type == "cuda" and choose_cuda_amp(wanted, arguments.amp)
    if arguments.amp in {True, "fp16"}:
        # for the model of the fp16 check: its default folder is next to the code
        utils.WEIGHTS_DIR = create_scratch_folder("weights")
    on_cpu = device.type == "cpu" and choose_cpu_precision(wanted) == "bf16"
    if bf16_wanted and not on_cpu and arguments.amp != "bf16":
        used = "fp16" if arguments.amp else "fp32"
        LOG.warning(f"bf16 was asked for, but the network cannot compute in it on {device}: {used} is used")
    return on_cpu


def autocast_forward_pass(trainer: Any) -> Any:
    """Return the context in which Ultralytics runs the forward pass of a training: its `amp` on a GPU."""
    return autocast(torch.bfloat16 if trainer.args.amp == "bf16" else trainer.amp, device=trainer.device.type)


class Bf16Model(BaseModel):  # type: ignore[misc]
    """A model whose forward pass runs in bf16 in training; losses and validation stay in fp32."""

    def _predict_once(self, x: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        x = x.contiguous(memory_format=torch.channels_last)
        if not self.training:
            return super()._predict_once(x, *args, **kwargs)
        with torch.autocast("cpu", torch.bfloat16):
            outputs = super()._predict_once(x, *args, **kwargs)
        return _to_float(outputs)


class _Bf16Teacher(BaseModel):  # type: ignore[misc]
    """A teacher whose forward pass runs in bf16."""

    def _predict_once(self, x: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        with torch.autocast("cpu", torch.bfloat16):
            return super()._predict_once(x, *args, **kwargs)


class _Bf16Distillation(DistillationModel):  # type: ignore[misc]
    """A student beside its teacher, both in bf16; what they are compared by is in fp32."""

    def decouple_outputs(self, preds: Any, branch: str = "one2one") -> Any:
        return _to_float(super().decouple_outputs(preds, branch))


def enable_bf16(model: torch.nn.Module) -> None:
    """Make a model of any task run its forward pass in bf16 in training."""
    model.__class__ = _bf16_class(type(model))  # type: ignore[arg-type] # a class is hashable
    model.to(memory_format=torch.channels_last)


def enable_bf16_teacher(model: torch.nn.Module) -> None:
    """Let the teacher beside a student compute in bf16, too, if there is one."""
    if not isinstance(model, DistillationModel):
        return
    teacher = model.teacher_model
    if not isinstance(teacher, _Bf16Teacher):
        teacher.__class__ = type(f"Lowered{type(teacher).__name__}", (_Bf16Teacher, type(teacher)), {})
        teacher.to(memory_format=torch.channels_last)
    if type(model) is DistillationModel:
        model.__class__ = _Bf16Distillation


def disable_bf16(model: torch.nn.Module) -> None:
    """Restore Ultralytics' own class and NCHW layout, as they belong in a checkpoint."""
    model.__class__ = type(model).__bases__[1]
    model.to(memory_format=torch.contiguous_format)


@functools.cache
def _bf16_class(kind: Any) -> Any:
    return type(f"Lowered{kind.__name__}", (Bf16Model, kind), {})


def _to_float(outputs: Any) -> Any:
    if isinstance(outputs, torch.Tensor):
        return outputs.float()
    if isinstance(outputs, dict):
        return {key: _to_float(value) for key, value in outputs.items()}
    return type(outputs)(map(_to_float, outputs))
