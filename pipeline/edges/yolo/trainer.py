"""Ultralytics' detection training on this project's terms: own data, checkpoints, freezing."""

from __future__ import annotations

import random
import time
from collections import defaultdict
from typing import Any, Final

import numpy as np
import torch
from ultralytics.models.yolo.detect import DetectionTrainer
from ultralytics.utils import SETTINGS
from ultralytics.utils.torch_utils import ModelEMA, unwrap_model

from pipeline.core.unfreezing import frozen, opened
from pipeline.edges.files import Refused
from pipeline.edges.yolo import checkpoints, effective, freezing, images, precision
from pipeline.edges.yolo.job import Job, Row

INTEGRATIONS: Final = ("clearml", "comet", "dvc", "mlflow", "raytune", "tensorboard", "wandb")
FITNESS: Final = "metrics/mAP50-95"


class Training(DetectionTrainer):  # type: ignore[misc]
    """One training. Ultralytics adds its integrations to classes that have Trainer in their name."""

    def __init__(self, overrides: dict[str, Any], job: Job) -> None:
        self.job = job
        self.rows: list[Row] = []
        self.best_state: dict[str, torch.Tensor] = {}
        self.periodic: dict[str, dict[str, torch.Tensor]] = {}
        self.elapsed = 0.0
        self.transferred = (0, 0)
        dict.update(
            SETTINGS, dict.fromkeys(INTEGRATIONS, False), sync=False
        )  # in memory: the file is not touched
        super().__init__(overrides=overrides, _callbacks=defaultdict(list))
        torch.set_num_threads(
            threads
        )  # Ultralytics leaves one core idle: on two cores that is half the machine
        self.lowered = self.args.distill_model is None  # the projector to a teacher computes in fp32
        self.lowered &= self.device.type == "cpu" and precision.on_processor(job.precision) == "bf16"
        self.state = checkpoints.newest(job.folder)
        self.add_callback("on_train_start", Training.settle)
        self.add_callback("on_train_epoch_start", Training.begin_epoch)

    def get_dataset(self) -> dict[str, Any]:
        """Return names and folders; no data YAML, so no download script, font or search for datasets."""
        names = dict(enumerate(["item"] if self.args.single_cls else self.job.names))
        train = [str(folder.resolve()) for folder in self.job.train]
        return {
            "names": names,
            "nc": len(names),
            "channels": 3,
            "train": train,
            "val": [str(self.job.val.resolve())],
        }

    def build_dataset(
        self, img_path: list[str], mode: str = "train", batch: int | None = None
    ) -> images.Images:
        """Build our own dataset."""
        stride = max(int(unwrap_model(self.model).stride.max()), 32)
        return images.build(
            self.args, img_path, data=self.data, train=mode == "train", batch=batch, stride=stride
        )

    def get_model(self, cfg: Any = None, weights: Any = None, verbose: bool = True) -> torch.nn.Module:
        """Build the network, computing in the chosen precision."""
        model = super().get_model(cfg, weights, verbose)
        model.names = self.data["names"]
        if self.lowered:
            precision.lower(model)
        return model

    def build_optimizer(self, model: torch.nn.Module, *args: Any, **kwargs: Any) -> torch.optim.Optimizer:
        """Build Ultralytics' optimizer, its groups split by depth where layers are unfrozen gradually."""
        optimizer = super().build_optimizer(model, *args, **kwargs)
        if self.job.gradual:
            freezing.spread(optimizer, unwrap_model(model), self.job.gradual)
        return optimizer

    def begin_epoch(self) -> None:
        """Draw this epoch's random numbers from (seed, epoch), and open the layers that are due."""
        _seed(self.args.seed + 1 + self.epoch)
        if self.train_loader.num_workers == 0:  # a fresh order of images, the same after a resume
            self.train_loader.reset()
            self.train_loader.generator.manual_seed(self.args.seed + 1 + self.epoch)
        if self.job.gradual:
            self.thaw()

    def thaw(self) -> None:
        """Freeze and open layer groups as the epochs so far have it."""
        schedule = self.job.gradual
        assert schedule is not None
        groups = freezing.groups(student(self.model), schedule)
        count = opened([row[FITNESS] for row in self.rows], schedule)
        freezing.freeze(self, frozen(groups, count))

    def settle(self) -> None:
        """Note what the set-up came to; count the seconds of the sessions before, for `time` too."""
        self.train_time_start -= self.elapsed
        if self.job.gradual:
            self.thaw()
        self.effective = effective.read(self)

    def save_metrics(self, metrics: dict[str, float]) -> None:
        """Keep the epoch's row, under names that do not end in (B)."""
        values = {
            key.removesuffix("(B)"): float(value)
            for key, value in metrics.items()
            if not key.startswith("lr/")
        }
        seconds = time.time() - self.train_time_start
        row = {
            "epoch": self.epoch + 1,
            "seconds": round(seconds, 3),
            **values,
            **freezing.rates(self.optimizer),
        }
        self.rows.append(row)

    def save_model(self) -> bool:
        """Write a checkpoint from which the training can go on as if it had not stopped."""
        weights = self.half_weights()
        if self.fitness == self.best_fitness:
            self.best_state = weights
        if self.save_period > 0 and self.epoch % self.save_period == 0:
            self.periodic[f"epoch{self.epoch}"] = weights
        self.state = {
            "epoch": self.epoch,
            "epochs": self.epochs,
            "stop": bool(self.stop),
            "effective": self.effective | effective.moving(self),
            "rows": self.rows,
            "model": unwrap_model(self.model).state_dict(),
            "ema": self.ema.ema.state_dict(),
            "updates": self.ema.updates,
            "last": weights,
            "best": self.best_state,
            "periodic": self.periodic,
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "best_fitness": float(self.best_fitness),
            "stopper": [float(self.stopper.best_fitness), int(self.stopper.best_epoch)],
        }
        checkpoints.save(self.job.folder, self.epoch + 1, self.state)
        return True

    def half_weights(self) -> dict[str, torch.Tensor]:
        """Return the averaged weights as a checkpoint holds them: fp16, contiguous, on the CPU."""
        ema = student(self.ema.ema)
        return {name: _half(tensor) for name, tensor in ema.state_dict().items()}

    def resume_training(self, ckpt: Any) -> None:  # noqa: ARG002 (Ultralytics' own checkpoint, of which there is none)
        """Take up the newest checkpoint: weights, averages, optimizer, curves, early stopping."""
        state = self.state
        if state is None:
            return
        model = unwrap_model(self.model)
        model.load_state_dict(state["model"])
        self.ema = ModelEMA(self.model, updates=state["updates"])
        self.ema.ema.load_state_dict(state["ema"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.scaler.load_state_dict(state["scaler"])
        self.rows, self.best_state, self.periodic = state["rows"], state["best"], state["periodic"]
        self.best_fitness = state["best_fitness"]
        self.stopper.best_fitness, self.stopper.best_epoch = state["stopper"]
        self.stopper.possible_stop = state["epoch"] + 1 - self.stopper.best_epoch >= self.stopper.patience - 1
        self.start_epoch, self.elapsed = state["epoch"] + 1, self.rows[-1]["seconds"]
        _advance_criterion(student(model), self.start_epoch)

    def _handle_nan_recovery(self, epoch: int) -> bool:
        loss_lost = self.loss is not None and not bool(torch.isfinite(self.loss))
        if loss_lost or (self.fitness is not None and self.fitness != self.fitness):
            raise Refused(
                f"the loss was no number any more in epoch {epoch + 1}: "
                "lower finetune.lr0, raise finetune.warmup_epochs, or set finetune.precision=fp32"
            )
        return False

    def final_eval(self) -> None:
        """Leave it out: the best epoch was validated, and this would be logged as one epoch too many."""


def student(model: torch.nn.Module) -> torch.nn.Module:
    """Return the network that is trained, without compile, teacher and projector around it."""
    inner = unwrap_model(model)
    found: torch.nn.Module = getattr(inner, "student_model", inner)
    return found


def finished(state: dict[str, Any] | None) -> bool:
    """Tell whether a checkpoint is the last one of its training."""
    return state is not None and (state["stop"] or state["epoch"] + 1 >= state["epochs"])


def _half(tensor: torch.Tensor) -> torch.Tensor:
    if not tensor.is_floating_point():
        return tensor.detach().cpu().clone()
    finite = torch.nan_to_num(tensor.detach().half())  # what overflows fp16 is clamped to its ends
    return finite.contiguous(memory_format=torch.contiguous_format).cpu()


def _seed(number: int) -> None:
    random.seed(number)
    np.random.seed(number % 2**32)
    torch.manual_seed(number)


def _advance_criterion(model: torch.nn.Module, epochs: int) -> None:
    """Bring YOLO26's loss, which shifts its weight between two heads from epoch to epoch, to where it was."""
    model.criterion = model.init_criterion()
    if hasattr(model.criterion, "update"):
        model.criterion.updates = epochs - 1
        model.criterion.update()
