"""State of a training between two epochs. A resumed training gives the same result as one without a stop.

Ultralytics' own resume continues from the fp16 averages instead of the weights, with an optimizer state that
is rounded to fp16, takes its arguments from the checkpoint, and does not know gradual unfreezing. The state
holds no random numbers: each epoch is seeded by (seed, epoch).
"""

from __future__ import annotations

import math
import random
import time
from typing import Any, Final

import numpy as np
import torch
from ultralytics.utils.torch_utils import ModelEMA, unwrap_model

from pipeline.yolo.job import EmaSettings
from pipeline.yolo.training.averaging.best_epochs import EpochWeights
from pipeline.yolo.training.sample_seeds import has_seeded_samples
from pipeline.yolo.unwrap import unwrap_student

TrainerState = dict[str, Any]
SEED_STRIDE: Final = 2_654_435_761
"""2**32 by the golden ratio: multiples of it lie far apart, modulo 2**32 (Knuth, 6.4)."""
RANK_STRIDE: Final = 1_000_003
"""Between the seeds of two processes of a training; no training has more epochs."""


def take_snapshot(trainer: Any) -> TrainerState:
    """Return the state of a trainer after an epoch: tensors and plain values."""
    return {
        "epoch": trainer.epoch,
        "epochs": trainer.epochs,
        "stop": bool(trainer.stop),
        "seconds": time.time() - trainer.train_time_start,
        "batch": int(trainer.batch_size),
        "planned_steps": trainer.planned_steps,
        "last_step": trainer.steps.last_step,
        "gradients": _collect_gradients(trainer.model),
        "cache": trainer.train_cache,
        "mosaic_closed": trainer.mosaic_closed,
        "buffer": list(getattr(trainer.train_loader.dataset, "buffer", [])),
        "rows": trainer.rows,
        "arguments": dict(vars(trainer.args)),
        "effective": trainer.effective,
        "model": unwrap_model(trainer.model).state_dict(),
        "ema": trainer.ema.ema.state_dict(),
        "updates": trainer.ema.updates,
        "weights": trainer.saved_weights,
        "saved_epochs": trainer.saved_epochs,
        "candidates": [list(item) for item in trainer.candidates],
        "average": trainer.average and trainer.average._asdict(),
        "optimizer": trainer.optimizer.state_dict(),
        "scaler": trainer.scaler.state_dict(),
        "best_fitness": None if trainer.best_fitness is None else float(trainer.best_fitness),
        "stopper": [float(trainer.stopper.best_fitness), int(trainer.stopper.best_epoch)],
    }


def build_ema(model: torch.nn.Module, settings: EmaSettings, *, updates: int = 0) -> ModelEMA:
    """Build the moving average of a model's weights; it begins with the weights as they are.

    Args:
        model: The network as it is trained.
        settings: How much of the average each update keeps.
        updates: How often the average was updated before.
    """
    return ModelEMA(model, decay=settings.decay, tau=settings.tau, updates=updates)


def restore_state(trainer: Any, state: TrainerState) -> None:
    """Restore the state of a training in a trainer that has just been set up."""
    model = unwrap_model(trainer.model)
    model.load_state_dict(state["model"])
    trainer.ema = build_ema(trainer.model, trainer.job.ema, updates=state["updates"])
    trainer.ema.ema.load_state_dict(state["ema"])
    for saved, group in zip(state["optimizer"]["param_groups"], trainer.optimizer.param_groups, strict=True):
        # the optimizer kernel depends on the device, which may be another one now
        saved["fused"] = group.get("fused")
    trainer.optimizer.load_state_dict(state["optimizer"])
    if state["scaler"]:  # empty where losses were not scaled
        trainer.scaler.load_state_dict(state["scaler"])
    trainer.rows, trainer.saved_weights = state["rows"], state["weights"]
    trainer.saved_epochs = state["saved_epochs"]
    trainer.candidates = [EpochWeights(*item) for item in state["candidates"]]
    trainer.best_fitness, trainer.start_epoch = state["best_fitness"], state["epoch"] + 1
    stopper = trainer.stopper
    stopper.best_fitness, stopper.best_epoch = state["stopper"]
    trainer.steps.last_step = state["last_step"]
    trainer.args.epochs = state["epochs"]


def restore_estimate(trainer: Any, state: TrainerState) -> None:
    """Restore how many epochs fit into `time`, as Ultralytics estimates it after each epoch.

    Call it after the loss is restored, whose weights are those of the estimate before.
    """
    seconds_per_epoch = state["seconds"] / trainer.start_epoch
    trainer.epochs = trainer.args.epochs = math.ceil(3600 * trainer.args.time / seconds_per_epoch)
    trainer._setup_scheduler()


def restore_gradients(model: torch.nn.Module, gradients: dict[str, torch.Tensor]) -> None:
    """Restore the gradients that wait for the next optimizer step; Ultralytics clears them before."""
    parameters = dict(unwrap_model(model).named_parameters())
    for name, gradient in gradients.items():
        parameters[name].grad = gradient.to(parameters[name], copy=True)


def is_finished(state: TrainerState | None) -> bool:
    """Tell whether a state is the last of its training."""
    return state is not None and bool(state["stop"])


def read_averaged_weights(trainer: Any) -> dict[str, torch.Tensor]:
    """Return the averaged weights as they are in a checkpoint file: fp16, contiguous, on the CPU.

    Numbers that do not fit into fp16 are infinite.
    """
    return {name: _to_half(tensor) for name, tensor in unwrap_student(trainer.ema.ema).state_dict().items()}


def compute_epoch_seed(seed: int, epoch: int) -> int:
    """Return the seed of an epoch, which no epoch of a training with another seed has.

    Trainings with seeds that follow each other would see the same batches an epoch later; then the spread
    between them would not be that of independent trainings.

    Args:
        seed: Of the training.
        epoch: From 0.
    """
    return seed * SEED_STRIDE % 2**32 + 1 + epoch


def seed_epoch(seed: int, *, loader: Any, rank: int = 0) -> None:
    """Seed all random generators, and with them the order of the images.

    Args:
        seed: Of this epoch.
        loader: Ultralytics' endless loader, or one that seeds each sample itself: `sample_seeds`.
        rank: Of this process among those of the training: each draws numbers of its own.
    """
    own = seed + rank * RANK_STRIDE
    random.seed(own)
    np.random.seed(own % 2**32)
    torch.manual_seed(own)
    if loader.num_workers == 0 and not has_seeded_samples(loader):
        loader.reset()
        loader.generator.manual_seed(seed)


def _to_half(tensor: torch.Tensor) -> torch.Tensor:
    plain = tensor.detach()
    stored = plain.half().cpu() if tensor.is_floating_point() else plain.cpu()
    return stored.clone(memory_format=torch.contiguous_format)  # .contiguous() does not change 1x1


def _collect_gradients(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Collect the gradients of batches that no optimizer step has used yet; a step deletes them."""
    parameters = unwrap_model(model).named_parameters()
    return {name: parameter.grad for name, parameter in parameters if parameter.grad is not None}
