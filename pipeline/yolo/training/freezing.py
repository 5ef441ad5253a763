"""Which layers learn. Ultralytics keeps that in three places, and all three must agree."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import torch

from pipeline.core.errors import UserError
from pipeline.yolo.schedules import UnfreezingSchedule, layer_groups

ALWAYS_FROZEN = ".dfl"
"""The fixed integral of YOLOv8's and YOLO11's box distribution; Ultralytics never trains it."""


def backbone(model: Any) -> int:
    """Count the backbone's layers: 10 in YOLOv8, 11 in YOLO11 and YOLO26."""
    return len(model.yaml["backbone"])


def refuse_pointless(model: Any, layers: int | Sequence[int | str] | None, *, head: bool) -> None:
    """Refuse a `freeze` that is not what it looks like.

    Args:
        model: The network.
        layers: Ultralytics' `freeze`: how many from the first, or which; None freezes none.
        head: Whether the backbone is meant to stay as it is (finetune.strategy=head).

    Raises:
        Refused: It freezes nothing, no part of the backbone where that is meant, or all there is.
    """
    if not layers:
        return
    wanted = [f"model.{layer}." for layer in (range(layers) if isinstance(layers, int) else layers)]
    names = [name for name, _ in model.named_parameters() if ALWAYS_FROZEN not in name]
    fixed = [name for name in names if any(part in name for part in wanted)]
    inside = [name for name in fixed if int(name.split(".")[1]) < backbone(model)]
    has = f"the model has layers 0 to {len(model.model) - 1}, the backbone 0 to {backbone(model) - 1}"
    if not (inside if head else fixed):
        what = "no layer of the backbone" if head else "no layer"
        raise UserError(f"finetune.freeze={layers} freezes {what}: {has}")
    if len(fixed) == len(names):
        raise UserError(f"finetune.freeze={layers} leaves no layer that learns: {has}")


def groups(model: Any, schedule: UnfreezingSchedule) -> tuple[range, ...]:
    """Cut the model's layers into the schedule's groups, the head first.

    Raises:
        Refused: The backbone is too short for so many.
    """
    try:
        return layer_groups(len(model.model), backbone=backbone(model), groups=schedule.groups)
    except ValueError as error:
        raise UserError(f"finetune.gradual.groups does not fit this model: {error}") from None


def freeze(trainer: Any, layers: Collection[int]) -> None:
    """Freeze these layers, and let all others learn.

    Gradients (requires_grad) and BatchNorm statistics (freeze_layer_names, read at each epoch's start) are
    separate in Ultralytics; the optimizer skips parameters without a gradient, weight decay and momentum too.
    """
    trainer.freeze_layer_names = [f"model.{layer}." for layer in layers] + [ALWAYS_FROZEN]
    for name, parameter in trainer.model.named_parameters():
        fixed = "teacher_model." in name or any(part in name for part in trainer.freeze_layer_names)
        if parameter.requires_grad is fixed and parameter.dtype.is_floating_point:
            parameter.requires_grad = not fixed
            parameter.grad = None


def spread(optimizer: torch.optim.Optimizer, model: Any, schedule: UnfreezingSchedule) -> None:
    """Split the optimizer's groups by depth, each deeper one at a lower rate.

    Done before the scheduler is made, which takes each group's `lr` as its `initial_lr`. Groups that are
    still frozen are there from the start, so unfreezing adds nothing to the optimizer.
    """
    depths = _depths(model, schedule)
    split = []
    for group in optimizer.param_groups:
        for depth in sorted({depths[id(parameter)] for parameter in group["params"]}):
            parameters = [parameter for parameter in group["params"] if depths[id(parameter)] == depth]
            rate = group["lr"] * schedule.decay**depth
            split.append({**group, "params": parameters, "lr": rate, "depth": depth})
    optimizer.param_groups = split


def rates(optimizer: torch.optim.Optimizer) -> dict[str, float]:
    """Name each group's present learning rate; 0 while all of it is frozen.

    Returns:
        lr/weight, lr/bn, lr/bias, with the depth behind where layers are unfrozen gradually.
    """
    found: dict[str, float] = {}
    for group in optimizer.param_groups:
        learns = any(parameter.requires_grad for parameter in group["params"])
        name = f"lr/{group.get('param_group', 'all')}" + (f"_{group['depth']}" if "depth" in group else "")
        while name in found:  # MuSGD has two groups of a kind: the class branch learns three times as fast
            name += "_other"
        found[name] = float(group["lr"]) if learns else 0.0
    return found


def _depths(model: Any, schedule: UnfreezingSchedule) -> dict[int, int]:
    student = getattr(model, "student_model", model)
    depths = {id(parameter): 0 for parameter in model.parameters()}
    for depth, layers in enumerate(groups(student, schedule)):
        for layer in layers:
            depths |= {id(parameter): depth for parameter in student.model[layer].parameters()}
    return depths
