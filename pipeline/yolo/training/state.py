"""The state of a training between two epochs: all that it takes to go on as if it had not stopped.

Ultralytics' own resume goes on from the fp16 averages instead of the weights and with an optimizer state
rounded to fp16, takes its arguments from the checkpoint, and knows nothing of layers that open gradually.
Random numbers need no place here: each epoch draws its own from (seed, epoch).
"""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import torch
from ultralytics.utils.torch_utils import ModelEMA, unwrap_model

from pipeline.yolo.unwrap import student

TrainerState = dict[str, Any]


def snapshot(trainer: Any) -> TrainerState:
    """Take the state of a trainer after an epoch: tensors and plain values."""
    return {
        "epoch": trainer.epoch,
        "epochs": trainer.epochs,
        "stop": bool(trainer.stop),
        "rows": trainer.rows,
        "arguments": dict(vars(trainer.args)),
        "effective": trainer.effective,
        "model": unwrap_model(trainer.model).state_dict(),
        "ema": trainer.ema.ema.state_dict(),
        "updates": trainer.ema.updates,
        "weights": trainer.kept,
        "optimizer": trainer.optimizer.state_dict(),
        "scaler": trainer.scaler.state_dict(),
        "best_fitness": None if trainer.best_fitness is None else float(trainer.best_fitness),
        "stopper": [float(trainer.stopper.best_fitness), int(trainer.stopper.best_epoch)],
    }


def take_up(trainer: Any, state: TrainerState) -> None:
    """Put a trainer that has just been set up into a state."""
    model = unwrap_model(trainer.model)
    model.load_state_dict(state["model"])
    trainer.ema = ModelEMA(trainer.model, updates=state["updates"])
    trainer.ema.ema.load_state_dict(state["ema"])
    for saved, group in zip(state["optimizer"]["param_groups"], trainer.optimizer.param_groups, strict=True):
        saved["fused"] = group.get("fused")  # this device's kernel, whatever the one before had
    trainer.optimizer.load_state_dict(state["optimizer"])
    if state["scaler"]:  # empty where nothing was scaled
        trainer.scaler.load_state_dict(state["scaler"])
    trainer.rows, trainer.kept = state["rows"], state["weights"]
    trainer.best_fitness, trainer.start_epoch = state["best_fitness"], state["epoch"] + 1
    stopper = trainer.stopper
    stopper.best_fitness, stopper.best_epoch = state["stopper"]
    _advance_criterion(student(model), trainer.start_epoch)


def finished(state: TrainerState | None) -> bool:
    """Tell whether a state is the last one of its training."""
    return state is not None and (state["stop"] or state["epoch"] + 1 >= state["epochs"])


def averaged(trainer: Any) -> dict[str, torch.Tensor]:
    """Return the averaged weights as a checkpoint file holds them: fp16, contiguous, on the CPU."""
    return {name: _half(tensor) for name, tensor in student(trainer.ema.ema).state_dict().items()}


def draw(seed: int, *, loader: Any) -> None:
    """Start all random numbers anew, and with them the order of the images.

    Args:
        seed: Of this epoch.
        loader: Ultralytics' endless loader; one with worker processes has drawn ahead and keeps its own.
    """
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)
    if loader.num_workers == 0:
        loader.reset()
        loader.generator.manual_seed(seed)


def _half(tensor: torch.Tensor) -> torch.Tensor:
    if not tensor.is_floating_point():
        return tensor.detach().cpu().clone()
    finite = torch.nan_to_num(tensor.detach().half())  # what overflows fp16 is clamped to its ends
    return finite.cpu().clone(memory_format=torch.contiguous_format)  # .contiguous() leaves 1x1 as they are


def _advance_criterion(model: Any, epochs: int) -> None:
    """Bring YOLO26's loss to where it was: from epoch to epoch it shifts its weight between two heads."""
    model.criterion = model.init_criterion()
    if hasattr(model.criterion, "update"):
        model.criterion.updates = epochs - 1
        model.criterion.update()
