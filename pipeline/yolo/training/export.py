"""Export weights as an Ultralytics checkpoint that `YOLO(path)` loads; equal weights give equal bytes."""

from __future__ import annotations

import copy
import io
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

import torch
from ultralytics import __version__
from ultralytics.utils import DEFAULT_CFG_KEYS

from pipeline.yolo.frozen.model import FrozenPrefixModel, restore_model_class
from pipeline.yolo.job import MetricsRow
from pipeline.yolo.training.precision import Bf16Model, disable_bf16

MACHINE_ARGUMENTS: Final = ("data", "project", "name", "save_dir", "distill_model", "device", "cfg", "source")
"""Arguments that may hold paths of this machine. They are left out: a checkpoint may be used elsewhere."""


def export_checkpoint(
    model: Any,
    weights: Mapping[str, torch.Tensor],
    *,
    arguments: Mapping[str, Any],
    rows: Sequence[MetricsRow],
) -> bytes:
    """Return the bytes of a checkpoint file.

    Args:
        model: The network, of Ultralytics' class or ours.
        weights: Its fp16 state dict.
        arguments: Ultralytics' train arguments.
        rows: The figures of each epoch, for `train_results`.
    """
    kept = {
        key: value
        for key, value in arguments.items()
        if key in DEFAULT_CFG_KEYS and key not in MACHINE_ARGUMENTS
    }
    kept = json.loads(json.dumps(kept))  # else pickle writes equal strings as references, and bytes differ
    network = _restore_network(model, weights, kept)
    contents = {
        "epoch": -1,
        "model": network,
        "ema": None,
        "optimizer": None,
        "train_args": kept,
        "train_metrics": {key: rows[-1][key] for key in rows[-1] if key.startswith(("metrics/", "val/"))},
        "train_results": {
            key: [row.get(key, math.nan) for row in rows] for key in rows[-1] if key != "seconds"
        },
        "version": __version__,
        "license": "AGPL-3.0 (https://ultralytics.com/license)",
        "docs": "https://docs.ultralytics.com",
    }
    buffer = io.BytesIO()
    torch.save(contents, buffer)
    return buffer.getvalue()


def _restore_network(model: Any, weights: Mapping[str, torch.Tensor], arguments: dict[str, Any]) -> Any:
    criterion, model.criterion = getattr(model, "criterion", None), None  # training state
    for module in model.modules():
        module._forward_hooks.clear()  # distillation's hooks hold its last features
    network = copy.deepcopy(model).cpu()
    model.criterion = criterion
    if isinstance(network, Bf16Model):
        disable_bf16(network)
    if isinstance(network, FrozenPrefixModel):
        restore_model_class(network)
    network.args = arguments
    network.nc = len(network.names)
    if arguments["task"] != "classify":
        network.set_head_attr(max_det=arguments["max_det"])
    network.half().load_state_dict(
        weights, assign=True
    )  # in the layout of `weights`, not that of the training
    for parameter in network.parameters():
        parameter.requires_grad = False
        parameter.grad = None
    return network.eval()
