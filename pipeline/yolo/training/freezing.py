"""Freeze and unfreeze layers. Ultralytics keeps this in three places, and all three must agree."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import torch
from torch import nn

from pipeline.core.errors import UserError
from pipeline.yolo.unfreezing import split_into_layer_groups

ALWAYS_FROZEN = ".dfl"
"""The fixed integral over the box distribution in YOLOv8 and YOLO11; Ultralytics never trains it."""


def count_backbone_layers(model: Any) -> int:
    """Count the backbone's layers: 10 in YOLOv8, 11 in YOLO11 and YOLO26."""
    return len(model.yaml["backbone"])


def check_freeze(model: Any, layers: int | Sequence[int | str] | None, *, head: bool) -> None:
    """Check that `finetune.freeze` freezes some layers, but not all.

    Args:
        model: The network.
        layers: Ultralytics' `freeze`: how many from the first, or which; None freezes none.
        head: Whether backbone layers have to be frozen (finetune.strategy=head).

    Raises:
        UserError: It names a part that the network has not, or it freezes nothing, no backbone layer where
            `head` needs one, or everything.
    """
    if not layers:
        return
    _check_parts(model, layers)
    prefixes = list_frozen_prefixes(layers)
    names = [name for name, _ in model.named_parameters() if ALWAYS_FROZEN not in name]
    frozen = [name for name in names if any(prefix in name for prefix in prefixes)]
    backbone = count_backbone_layers(model)
    in_backbone = [name for name in frozen if int(name.split(".")[1]) < backbone]
    extent = _describe_extent(model)
    if not (in_backbone if head else frozen):
        what = "no layer of the backbone" if head else "no layer"
        raise UserError(f"finetune.freeze={layers} freezes {what}: {extent}")
    if len(frozen) == len(names):
        raise UserError(f"finetune.freeze={layers} leaves no layer that learns: {extent}")


def expand_freeze(layers: int | str | Sequence[int | str], *, backbone: int) -> int | list[int | str]:
    """Return `finetune.freeze` with the numbers of the backbone's layers in the place of "backbone".

    Args:
        layers: As in conf/finetune.
        backbone: How many layers it has.
    """
    if isinstance(layers, int):
        return layers
    named = [layers] if isinstance(layers, str) else layers
    return [one for each in named for one in (range(backbone) if each == "backbone" else [each])]


def _check_parts(model: Any, layers: int | Sequence[int | str]) -> None:
    """Check that each entry of a list is a layer of the network, or the start of a tensor's name in it."""
    if isinstance(layers, int):
        return
    names, numbers = list(model.state_dict()), {str(number) for number in range(len(model.model))}
    for entry, prefix in zip(layers, list_frozen_prefixes(layers), strict=True):
        if str(entry) not in numbers and not any(prefix in name for name in names):
            raise UserError(
                f"finetune.freeze names {entry!r}, which the model has not: {_describe_extent(model)}; "
                f"a part of a layer is named as in {_name_part(names)}"
            )


def _describe_extent(model: Any) -> str:
    last, backbone = len(model.model) - 1, count_backbone_layers(model)
    return f"the model has layers 0 to {last}, the backbone 0 to {backbone - 1}"


def _name_part(names: Sequence[str]) -> str:
    """Name a part of a layer as finetune.freeze does: 2.cv1 for model.2.cv1.conv.weight."""
    deepest = max(names, key=lambda name: name.count("."))
    return ".".join(deepest.split(".")[1:3])


def list_frozen_prefixes(layers: int | Sequence[int | str]) -> list[str]:
    """Return what is in the names of the tensors that `finetune.freeze` freezes."""
    return [f"model.{layer}." for layer in (range(layers) if isinstance(layers, int) else layers)]


def split_model_layers(model: Any, groups: int) -> tuple[range, ...]:
    """Split the model's layers into groups, the head first.

    Args:
        model: The network.
        groups: finetune.gradual.groups.

    Raises:
        UserError: The backbone has too few layers for so many groups.
    """
    try:
        return split_into_layer_groups(len(model.model), backbone=count_backbone_layers(model), groups=groups)
    except ValueError as error:
        raise UserError(f"finetune.gradual.groups does not fit this model: {error}") from None


def freeze_layers(trainer: Any, layers: Collection[int]) -> None:
    """Freeze these layers, and let all others learn.

    Gradients (requires_grad) and BatchNorm statistics (freeze_layer_names, read at the start of each epoch)
    are separate in Ultralytics. The optimizer skips parameters without a gradient, also their weight decay
    and momentum.
    """
    trainer.freeze_layer_names = [f"model.{layer}." for layer in layers] + [ALWAYS_FROZEN]
    for name, parameter in trainer.model.named_parameters():
        frozen = "teacher_model." in name or any(part in name for part in trainer.freeze_layer_names)
        if parameter.requires_grad is frozen and parameter.dtype.is_floating_point:
            parameter.requires_grad = not frozen
            parameter.grad = None


def list_backbone_norms(model: Any) -> list[nn.BatchNorm2d]:
    """List the BatchNorm layers of the backbone."""
    return _list_batch_norms(model.model[: count_backbone_layers(model)])


def freeze_batch_norms(model: Any) -> None:
    """Let the BatchNorm statistics of the backbone stay as they are; weights and biases still learn.

    Call it after each `train()`, which undoes it.
    """
    for norm in list_backbone_norms(model):
        norm.eval()


def begin_training_mode(model: Any, frozen: Collection[str], *, freeze_bn: bool) -> list[nn.BatchNorm2d]:
    """Put a network into training mode, but not the BatchNorm layers whose statistics are frozen.

    Args:
        model: The network, without wrappers.
        frozen: The trainer's `freeze_layer_names`.
        freeze_bn: Whether those of the whole backbone are frozen.

    Returns:
        The BatchNorm layers whose statistics are not frozen.
    """
    model.train()
    for name, module in model.named_modules():
        if isinstance(module, nn.BatchNorm2d) and any(part in name for part in frozen):
            module.eval()
    if freeze_bn:
        freeze_batch_norms(model)
    return [norm for norm in _list_batch_norms(model) if norm.training]


def split_optimizer_groups(
    optimizer: torch.optim.Optimizer, model: Any, *, groups: int, decay: float
) -> None:
    """Split the optimizer's groups by depth, each deeper group at a lower rate.

    Call it before the scheduler is built, which takes each group's `lr` as its `initial_lr`. Frozen groups
    are in the optimizer from the start, so unfreezing adds nothing to it.

    Args:
        optimizer: Of Ultralytics.
        model: The network, with or without a teacher.
        groups: Number of layer groups, at least 2.
        decay: 0..1; each deeper group learns at this share of the rate of the group above it.

    Raises:
        UserError: The backbone has too few layers for so many groups.
    """
    depths = _parameter_depths(model, groups)
    split = []
    for group in optimizer.param_groups:
        for depth in sorted({depths[id(parameter)] for parameter in group["params"]}):
            parameters = [parameter for parameter in group["params"] if depths[id(parameter)] == depth]
            rate = group["lr"] * decay**depth
            split.append({**group, "params": parameters, "lr": rate, "depth": depth})
    optimizer.param_groups = split


def read_learning_rates(optimizer: torch.optim.Optimizer) -> dict[str, float]:
    """Return the current learning rate of each group with parameters; 0 while the whole group is frozen.

    Returns:
        lr/weight, lr/bn, lr/bias; where the groups are split by depth, with the depth at the end.
    """
    rates: dict[str, float] = {}
    for group in optimizer.param_groups:
        if not group["params"]:
            continue  # MuSGD has groups for two rates, and a model may have one of them alone
        learns = any(parameter.requires_grad for parameter in group["params"])
        name = f"lr/{group.get('param_group', 'all')}" + (f"_{group['depth']}" if "depth" in group else "")
        while name in rates:  # MuSGD: a second group, as the class branch learns three times as fast
            name += "_other"
        rates[name] = float(group["lr"]) if learns else 0.0
    return rates


def _list_batch_norms(model: nn.Module) -> list[nn.BatchNorm2d]:
    return [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]


def _parameter_depths(model: Any, groups: int) -> dict[int, int]:
    student = getattr(model, "student_model", model)
    depths = {id(parameter): 0 for parameter in model.parameters()}
    for depth, layers in enumerate(split_model_layers(student, groups)):
        for layer in layers:
            depths |= {id(parameter): depth for parameter in student.model[layer].parameters()}
    return depths
