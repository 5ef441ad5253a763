"""Export weights as an Ultralytics checkpoint that `YOLO(path)` loads; equal weights give equal bytes."""

from __future__ import annotations

import copy
import io
import json
import math
import re
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Final

import torch
from ultralytics import __version__
from ultralytics.utils import DEFAULT_CFG_KEYS

from pipeline.core.metric_names import THREADS
from pipeline.yolo.frozen.model import FrozenPrefixModel, restore_model_class
from pipeline.yolo.job import MetricsRow
from pipeline.yolo.training.precision import Bf16Model, disable_bf16

MACHINE_ARGUMENTS: Final = (
    *("data", "project", "name", "save_dir", "distill_model", "cfg", "source"),
    *("device", "workers", "verbose"),
)
"""Arguments that may hold paths of this machine, or that the run key does not hold. They are left out: a
checkpoint may be used elsewhere, and equal trainings give equal files."""
MACHINE_COLUMNS: Final = ("seconds", THREADS)
"""Columns of the epochs that differ from machine to machine. They are left out, too."""


def copy_blank_network(model: Any) -> Any:
    """Copy a network before its training, for `export_checkpoint`.

    A training leaves traces in its network beside the weights, such as the loss and hooks. A process that
    resumes a training after its last epoch never trains, so files of a trained network would differ.
    """
    return copy.deepcopy(model).half()


def export_checkpoint(
    network: Any,
    weights: Mapping[str, torch.Tensor],
    *,
    arguments: Mapping[str, Any],
    rows: Sequence[MetricsRow],
    figures: MetricsRow | None = None,
) -> bytes:
    """Return the bytes of a checkpoint file.

    Args:
        network: From `copy_blank_network`, of Ultralytics' class or ours.
        weights: The fp16 state dict.
        arguments: Ultralytics' train arguments.
        rows: The figures of each epoch, for `train_results`.
        figures: Of these weights, for `train_metrics`; None for those of the last row.
    """
    kept = {
        key: value
        for key, value in arguments.items()
        if key in DEFAULT_CFG_KEYS and key not in MACHINE_ARGUMENTS
    }
    kept = _intern_strings(json.loads(json.dumps(kept, allow_nan=False)))
    own = rows[-1] if figures is None else figures
    metrics = {key: own[key] for key in own if key.startswith(("metrics/", "val/"))}
    results = {
        key: [row.get(key, math.nan) for row in rows] for key in rows[-1] if key not in MACHINE_COLUMNS
    }
    contents = {
        "epoch": -1,
        "model": _fill_network(network, weights, kept),
        "ema": None,
        "optimizer": None,
        "train_args": kept,
        "train_metrics": _intern_strings(metrics),
        "train_results": _intern_strings(results),
        "version": __version__,
        "license": "AGPL-3.0 (https://ultralytics.com/license)",
        "docs": "https://docs.ultralytics.com",
    }
    buffer = io.BytesIO()
    torch.save(contents, buffer)
    return buffer.getvalue()


def _fill_network(blank: Any, weights: Mapping[str, torch.Tensor], arguments: dict[str, Any]) -> Any:
    network = copy.deepcopy(blank).cpu()
    if isinstance(network, Bf16Model):
        disable_bf16(network)
    if isinstance(network, FrozenPrefixModel):
        restore_model_class(network)
    _remove_paths(network)
    network.args = arguments
    network.nc = len(network.names)
    if arguments["task"] != "classify":
        network.set_head_attr(max_det=arguments["max_det"])
    network.load_state_dict(weights, assign=True)  # in the layout of `weights`, not that of the training
    for parameter in network.parameters():
        parameter.requires_grad = False
    return network.eval()


def _remove_paths(network: Any) -> None:
    """Remove the paths of this machine, or of the one where the base weights were trained."""
    vars(network).pop("pt_path", None)
    if "yaml_file" in network.yaml:
        name = re.split(r"[/\\]", str(network.yaml["yaml_file"]))[-1]
        network.yaml = {**network.yaml, "yaml_file": name}


def _intern_strings(value: Any) -> Any:
    """Make equal strings the same object: pickle writes the second use of an object as a reference.

    Otherwise the bytes depend on whether the strings were read from a checkpoint or made by this process.
    """
    if isinstance(value, str):
        return sys.intern(value)
    if isinstance(value, dict):
        return {_intern_strings(key): _intern_strings(item) for key, item in value.items()}
    return [_intern_strings(item) for item in value] if isinstance(value, list) else value
