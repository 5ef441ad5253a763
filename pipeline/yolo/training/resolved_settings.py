"""Read the settings that a training really uses from the trainer after its set-up."""

from __future__ import annotations

import platform
from typing import Any, Final

import torch
from ultralytics import __version__
from ultralytics.utils.torch_utils import unwrap_model

from pipeline.yolo.gpu_loader.loader import read_loader_kind
from pipeline.yolo.repeat_factors import count_epoch_samples
from pipeline.yolo.training.freezing import list_backbone_norms

_SETTINGS_OF_THE_START: Final = ("freeze", "parameters_learning", "momentum")
"""Settings that change during a training: the record has those of its start, also after a resume."""


_SETTINGS_OF_A_SESSION: Final = (
    *("precision", "compiled", "device", "processes", "processor", "threads", "batch", "accumulate"),
    *("loader", "workers"),
)
"""Settings of the machine that a session ran on; a training may go on elsewhere."""


def read_resolved_settings(trainer: Any) -> dict[str, Any]:
    """Return task, optimizer, rates, batch, precision, device, threads and frozen layers as plain values.

    How many epochs are trained is known at the end only. After a resume with other settings, `sessions` has
    those of each session and its first epoch, from 1; the others are those of the last one.
    """
    earlier = trainer.state["effective"] if trainer.state else {}
    used = _read_settings(trainer) | {key: earlier[key] for key in _SETTINGS_OF_THE_START if key in earlier}
    return used | _list_sessions(used, earlier, first=trainer.state["epoch"] + 2 if trainer.state else 1)


def _list_sessions(used: dict[str, Any], earlier: dict[str, Any], *, first: int) -> dict[str, Any]:
    """Return the sessions whose settings differ from those before; nothing where all have the same."""
    before = earlier.get("sessions") or ([{"first_epoch": 1, **_select_settings(earlier)}] if earlier else [])
    if before and before[-1] != (now := {"first_epoch": before[-1]["first_epoch"], **_select_settings(used)}):
        before = [*before, now | {"first_epoch": first}]
    return {"sessions": before} if len(before) > 1 else {}


def _select_settings(used: dict[str, Any]) -> dict[str, Any]:
    return {key: used[key] for key in _SETTINGS_OF_A_SESSION if key in used}


def _read_settings(trainer: Any) -> dict[str, Any]:
    optimizer, model = trainer.optimizer, unwrap_model(trainer.model)
    group = optimizer.param_groups[0]
    student = getattr(model, "student_model", model)
    parameters = list(student.parameters())
    return {
        "task": trainer.job.task,
        "architecture": trainer.architecture,
        "optimizer": type(optimizer).__name__,
        "lr0": float(trainer.args.lr0),
        "initial_lr": sorted({float(group["initial_lr"]) for group in optimizer.param_groups}),
        "momentum": float(group["momentum"] if "momentum" in group else group["betas"][0]),
        "weight_decay": max(float(group["weight_decay"]) for group in optimizer.param_groups),
        "imgsz": int(trainer.args.imgsz),
        "batch": int(trainer.batch_size),
        "accumulate": int(trainer.accumulate),
        **_count_samples(trainer),
        "cache": trainer.train_cache or "none",
        **({"max_det": int(trainer.args.max_det)} if trainer.job.task != "classify" else {}),
        "precision": _precision(trainer),
        "compiled": _is_compiled(trainer.model),  # Ultralytics skips it where there is no compiler
        "device": str(trainer.device),
        **({"processes": trainer.world_size} if trainer.world_size > 1 else {}),
        "processor": _processor_name(trainer.device),
        "threads": torch.get_num_threads(),
        "loader": read_loader_kind(trainer.train_loader),
        "workers": trainer.train_loader.num_workers,
        "freeze": [name[6:-1] for name in trainer.freeze_layer_names if name.startswith("model.")],
        **({"freeze_bn": len(list_backbone_norms(student))} if trainer.job.freeze_bn else {}),
        "parameters": sum(parameter.numel() for parameter in parameters),
        "parameters_learning": sum(parameter.numel() for parameter in parameters if parameter.requires_grad),
        **trainer.frozen_features,
        "tensors_transferred": "{} of {}".format(*trainer.transferred_tensors),
        "ultralytics": __version__,
        "torch": str(torch.__version__),
    }


def _is_compiled(model: Any) -> bool:
    """Tell whether a network is compiled, on one device or as the part of it that each of several has."""
    return hasattr(getattr(model, "module", model), "_orig_mod")


def _count_samples(trainer: Any) -> dict[str, int]:
    """Return the samples of an epoch where they are not the train images, each once."""
    if not trainer.job.repeat_rare:
        return {}
    return {"samples_per_epoch": count_epoch_samples(trainer.train_loader, trainer.world_size)}


def _precision(trainer: Any) -> str:
    if trainer.bf16_on_cpu:
        return "bf16"
    if not trainer.amp:
        return "fp32"
    return "bf16" if trainer.args.amp == "bf16" else "fp16"


def _processor_name(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return str(torch.cpu.get_capabilities().get("cpu_name") or platform.processor() or platform.machine())
