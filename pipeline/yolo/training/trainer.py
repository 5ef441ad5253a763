"""Ultralytics' training on this project's terms: own data, checkpoints, freezing."""

from __future__ import annotations

import math
import time
from collections import defaultdict
from typing import Any, Final

import torch
from ultralytics.engine.trainer import BaseTrainer
from ultralytics.utils import SETTINGS
from ultralytics.utils.torch_utils import unwrap_model

from pipeline.core.errors import UserError
from pipeline.core.tasks import Keypoints
from pipeline.yolo import epoch_metrics, unwrap
from pipeline.yolo.environment import set_torch_threads
from pipeline.yolo.epoch_metrics import FITNESS, WATCHED
from pipeline.yolo.frozen import features
from pipeline.yolo.frozen import model as frozen_model
from pipeline.yolo.frozen.features import forget_images, hand_over
from pipeline.yolo.frozen.store import CacheLimits
from pipeline.yolo.gpu_loader import loader
from pipeline.yolo.gpu_loader.loader import GpuLoader
from pipeline.yolo.job import MetricsRow, TrainingJob
from pipeline.yolo.schedules import frozen, opened, validation_due
from pipeline.yolo.training import checkpoints, datasets, freezing, precision, resolved_settings, state
from pipeline.yolo.training.state import take_up

INTEGRATIONS: Final = ("clearml", "comet", "dvc", "mlflow", "raytune", "tensorboard", "wandb")


class TrainingMixin(BaseTrainer):  # type: ignore[misc]
    """One training of any task; `trainings` puts it before Ultralytics' trainer of each.

    Ultralytics adds its Platform to classes that have Trainer in their name; not here.
    """

    metrics: dict[str, float]
    fitness: float | None
    resident_on: frozenset[str] = frozenset({"cuda"})
    """Kinds of devices that augment faster than the loader's processes."""

    def __init__(self, overrides: dict[str, Any], job: TrainingJob) -> None:
        self.job = job
        self.rows: list[MetricsRow] = []
        self.kept: dict[str, dict[str, torch.Tensor]] = {}
        self.effective: dict[str, Any] = {}
        self.transferred = (0, 0)
        self.room: CacheLimits | None = None  # for frozen features: shares of what is free
        dict.update(SETTINGS, dict.fromkeys(INTEGRATIONS, False), sync=False)  # in memory, not in the file
        super().__init__(overrides=overrides, _callbacks=defaultdict(list))
        self.lowered = precision.settle(self)
        if job.fast and self.device.type == "cpu":
            set_torch_threads()
        self.state = checkpoints.newest(job.folder)
        self.add_callback("on_train_start", TrainingMixin.settle)
        self.add_callback("on_train_epoch_start", TrainingMixin.begin_epoch)
        self.add_callback("on_train_epoch_end", TrainingMixin.choose_validation)

    def get_dataset(self) -> dict[str, Any]:
        """Return names and folders; no data YAML, so no download script, font or search for datasets."""
        names = dict(enumerate(["item"] if self.args.single_cls else self.job.names))
        train, val = ([str(place.resolve()) for place in part] for part in (self.job.train, [self.job.val]))
        places = {"train": train, "val": val, "task": self.job.task}
        return {
            "names": names,
            "nc": len(names),
            "channels": 3,
            **places,
            **_points(self.job.keypoints, names),
        }

    def build_dataset(self, img_path: list[str], mode: str = "train", batch: Any = None) -> Any:
        """Build our own dataset."""
        sizes = {"batch": batch, "stride": max(int(unwrap_model(self.model).stride.max()), 32)}
        return datasets.build(self.args, img_path, data=self.data, train=mode == "train", **sizes)

    def get_model(self, cfg: Any = None, weights: Any = None, verbose: bool = True) -> Any:
        """Build the network, computing in the chosen precision."""
        model = super().get_model(cfg, weights, verbose)
        model.names = self.data["names"]
        if "kpt_names" in self.data:
            model.kpt_names = self.data["kpt_names"]
        if not features.hindrance(self.job, self.args):
            frozen_model.prepare(model)
        if self.lowered:
            precision.lower(model)
        return model

    def _build_train_pipeline(self) -> None:
        super()._build_train_pipeline()
        self.frozen = features.attach(self, self.room)
        self.train_loader = loader.chosen(self)
        if self.effective:  # out of memory in the first epoch, which begins anew with a smaller batch
            self.effective = resolved_settings.read(self)

    def optimizer_step(self) -> None:
        """Make a step, and the next batch while the device is still at it: then Ultralytics waits for it."""
        super().optimizer_step()
        if isinstance(self.train_loader, GpuLoader):
            self.train_loader.make_ready()

    def preprocess_batch(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Prepare a batch, or the frozen layers' outputs for it."""
        ready = super().preprocess_batch(batch)
        return hand_over(ready, unwrap.student(self.model), self.train_loader.dataset)

    def get_validator(self) -> Any:
        """Return Ultralytics' validator, which begins where the frozen layers end, too."""
        validator = super().get_validator()
        features.watch(validator, self)
        return validator

    def build_optimizer(self, model: Any, *args: Any, **kwargs: Any) -> Any:
        """Build Ultralytics' optimizer, its groups split by depth where layers are unfrozen gradually."""
        optimizer = super().build_optimizer(model, *args, **kwargs)
        if self.job.gradual:
            freezing.spread(optimizer, unwrap_model(model), self.job.gradual)
        return optimizer

    def resume_training(self, ckpt: Any) -> None:
        """Take up the newest checkpoint of this iteration; `ckpt`, Ultralytics' own, is never there."""
        del ckpt
        if self.state is not None:
            take_up(self, self.state)

    def settle(self) -> None:
        """Note what the set-up came to; count the seconds of the sessions before, for `time` too."""
        self.train_time_start -= self.rows[-1]["seconds"] if self.rows else 0.0
        self.thaw()
        self.effective = resolved_settings.read(self)

    def begin_epoch(self) -> None:
        """Draw this epoch's random numbers, and open the layers that are due."""
        if self.args.time:
            self.start_epoch = 0  # Ultralytics divides all seconds by the epochs since: of all sessions here
        state.draw(self.args.seed + 1 + self.epoch, loader=self.train_loader)
        self.thaw()
        forget_images(self)

    def thaw(self) -> None:
        """Freeze and open layer groups as the epochs so far have it."""
        if schedule := self.job.gradual:
            groups = freezing.groups(unwrap.student(self.model), schedule)
            watched = WATCHED[self.job.task]
            count = opened([row.get(watched, math.nan) for row in self.rows], schedule)
            freezing.freeze(self, frozen(groups, count))

    def choose_validation(self) -> None:
        """Validate this epoch or not: `val_every`, the last epoch, early stopping and `time` have a say."""
        epoch, stopper = self.epoch + 1, self.stopper
        until = {"last": self.epochs, "best": stopper.best_epoch, "patience": stopper.patience}
        self.args.val = validation_due(epoch, self.job.val_every, **until) or self._short_of_time(epoch)
        stopper.possible_stop = False  # Ultralytics' own rule, which a resumed training knew nothing of
        if not (self.args.val or self.stop):
            self.metrics, self.fitness = {}, None  # else those of an epoch before would count again

    def _short_of_time(self, epoch: int) -> bool:
        """Tell whether `time` may end the training after this epoch, or no epoch was validated yet."""
        if not self.args.time:
            return False
        seconds = time.time() - self.train_time_start
        return seconds * (epoch + 1) / epoch > 3600 * self.args.time or not self.stopper.best_epoch

    def save_metrics(self, metrics: dict[str, float]) -> None:
        """Keep the epoch's row, under our names."""
        row = {"epoch": self.epoch + 1, "seconds": round(time.time() - self.train_time_start, 3)}
        named = {
            epoch_metrics.column(name): float(value) for name, value in metrics.items() if name[:3] != "lr/"
        }
        if WATCHED[self.job.task] == FITNESS and self.fitness is not None:
            named[FITNESS] = float(self.fitness)
        self.rows.append(row | named | freezing.rates(self.optimizer))

    def save_model(self) -> bool:
        """Write a checkpoint."""
        self.kept["last"] = state.averaged(self)
        if self.stopper.best_epoch == self.epoch + 1:  # the epoch that is reported, also where several tie
            self.kept["best"] = self.kept["last"]
        if self.save_period > 0 and self.epoch % self.save_period == 0:
            self.kept[f"epoch{self.epoch}"] = self.kept["last"]
        self.effective["epochs"] = int(self.epochs)  # `time` counts them anew after each
        self.state = state.snapshot(self)
        checkpoints.save(self.job.folder, self.epoch + 1, self.state)
        return True

    def _handle_nan_recovery(self, epoch: int) -> bool:
        lost = self.loss is not None and not math.isfinite(self.loss.detach())
        if lost or (self.fitness is not None and not math.isfinite(self.fitness)):
            raise UserError(
                f"the loss was no number any more in epoch {epoch + 1}: "
                "lower finetune.lr0, raise finetune.warmup_epochs, or set finetune.precision=fp32"
            )
        return False

    def final_eval(self) -> None:
        """Leave it out: the best epoch was validated, and this would be logged as one epoch too many."""


def _points(keypoints: Keypoints | None, names: dict[int, str]) -> dict[str, Any]:
    """Return what a pose's data YAML would say of its points."""
    if keypoints is None:
        return {}
    called = {index: list(keypoints.names) for index in names}
    shape = [keypoints.count, keypoints.dims]
    return {"kpt_shape": shape, "flip_idx": list(keypoints.flip), "kpt_names": called}
