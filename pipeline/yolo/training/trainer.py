"""Mixin for Ultralytics' trainers: this project's datasets, checkpoints, freezing and fast paths."""

from __future__ import annotations

import math
import time
from collections import defaultdict
from typing import Any, Final

import torch
from ultralytics.utils import SETTINGS
from ultralytics.utils.torch_utils import unwrap_model

from pipeline.core.metric_names import THREADS
from pipeline.yolo.epoch_metrics import WATCHED_METRICS, convert_figures
from pipeline.yolo.feature_distillation import FeatureDistillationMixin
from pipeline.yolo.frozen.features import (
    attach_batch_indices,
    attach_feature_stores,
    attach_to_validator,
    explain_no_features,
    release_decoded_images,
)
from pipeline.yolo.frozen.model import enable_prefix_skipping
from pipeline.yolo.frozen.store import CacheLimits
from pipeline.yolo.gpu_loader.loader import GpuLoader, choose_train_loader
from pipeline.yolo.job import MetricsRow, TrainingJob
from pipeline.yolo.one_to_many import begin_criterion
from pipeline.yolo.repeat_factors import RepeatFactorMixin
from pipeline.yolo.sharpness import SharpnessMixin
from pipeline.yolo.torch_threads import TorchThreads
from pipeline.yolo.training.averaging.saved_weights import SavedWeightsMixin
from pipeline.yolo.training.datasets.data_entries import build_data_entries
from pipeline.yolo.training.datasets.object_dataset import build_object_dataset, restore_buffer
from pipeline.yolo.training.divergence import check_losses
from pipeline.yolo.training.freezing import (
    freeze_batch_norms,
    freeze_layers,
    read_learning_rates,
    split_model_layers,
    split_optimizer_groups,
)
from pipeline.yolo.training.precision import enable_bf16, enable_bf16_teacher, set_precision
from pipeline.yolo.training.resolved_settings import read_resolved_settings
from pipeline.yolo.training.resume.checkpoints import load_newest_checkpoint, save_checkpoint
from pipeline.yolo.training.resume.optimizer_steps import OptimizerSteps
from pipeline.yolo.training.resume.state import (
    build_ema,
    restore_estimate,
    restore_gradients,
    restore_state,
    seed_epoch,
    take_snapshot,
)
from pipeline.yolo.training.sample_seeds import has_had_workers, has_seeded_samples, seed_samples
from pipeline.yolo.training.validation_schedule import is_validation_due
from pipeline.yolo.unfreezing import count_open_groups, list_frozen_layers
from pipeline.yolo.unwrap import unwrap_student

INTEGRATIONS: Final = ("clearml", "comet", "dvc", "mlflow", "raytune", "tensorboard", "wandb")


class TrainingMixin(FeatureDistillationMixin, RepeatFactorMixin, SharpnessMixin, SavedWeightsMixin):
    """One training of any task; `task_trainers` puts this mixin before Ultralytics' trainer of each task.

    The name has no "Trainer" in it: Ultralytics attaches its own callbacks to every class with that word.
    """

    metrics: dict[str, float]
    fitness: float | None
    gpu_loader_devices: frozenset[str] = frozenset({"cuda"})
    """Types of devices that the GPU loader is made for."""

    def __init__(self, overrides: dict[str, Any], job: TrainingJob) -> None:
        self.job = job
        self.rows: list[MetricsRow] = []
        self.effective: dict[str, Any] = {}
        self.architecture = ""  # the name of the model YAML
        self.transferred_tensors = (0, 0)
        self.steps = OptimizerSteps()
        self.planned_steps = 0  # as of the first session; `optimizer: auto` decides by it
        self.waiting_gradients: dict[str, torch.Tensor] = {}
        self.blank_network: Any = None
        self.cache_limits: CacheLimits | None = None  # for frozen features; None: shares of what is free
        dict.update(SETTINGS, dict.fromkeys(INTEGRATIONS, False), sync=False)  # in memory, not in the file
        super().__init__(overrides=overrides, _callbacks=defaultdict(list))
        self.bf16_on_cpu = set_precision(self)
        on_cpu = self.device.type == "cpu"
        threads = self.choose_own_threads(job.threads)
        self.threads = TorchThreads(threads, stage="finetune", fast=bool(job.fast) and on_cpu)
        self.args.workers = min(self.args.workers, self.count_own_cores())  # Ultralytics knows no quota
        self.state = load_newest_checkpoint(job.folder)
        if self.state is not None:  # AutoBatch chose it, or the memory was not enough for more
            self.args.batch = self.batch_size = self.state["batch"]
        self.add_callback("on_train_start", TrainingMixin.record_setup)
        self.add_callback("on_train_epoch_start", TrainingMixin.begin_epoch)
        self.add_callback("on_train_batch_start", TrainingMixin.count_batch)
        self.add_callback("on_train_batch_end", lambda trainer: trainer.threads.end_step())
        self.add_callback("on_train_epoch_end", TrainingMixin.choose_validation)

    @property
    def accumulate(self) -> int:
        """Batches per optimizer step. Ultralytics compares it with the batches since the last step."""
        return self.steps.accumulate + self.steps.delay

    @accumulate.setter
    def accumulate(self, batches: int) -> None:
        self.steps.accumulate = batches

    @property
    def train_cache(self) -> str | None:
        """Where decoded train images are kept: ram, disk, or None; too little memory turns ram into None."""
        cache: str | None = getattr(self.train_loader.dataset, "cache", None)
        return cache

    def get_dataset(self) -> dict[str, Any]:
        """Return names and folders; without a data YAML Ultralytics downloads and searches nothing."""
        return build_data_entries(self.job, single_cls=self.args.single_cls)

    def build_dataset(self, img_path: list[str], mode: str = "train", batch: Any = None) -> Any:
        """Build this project's dataset; mosaics of a resumed training do not depend on the free memory."""
        settings = {"batch": batch, "stride": max(int(unwrap_model(self.model).stride.max()), 32)}
        if self.state and mode == "train":
            settings["began_with"] = self.state["cache"]
        return build_object_dataset(self.args, img_path, data=self.data, train=mode == "train", **settings)

    def get_model(self, cfg: Any = None, weights: Any = None, verbose: bool = True) -> Any:
        """Build the network, in the chosen precision."""
        model = super().get_model(cfg, weights, verbose)
        model.names = self.data["names"]
        if "kpt_names" in self.data:
            model.kpt_names = self.data["kpt_names"]
        if not explain_no_features(self):
            enable_prefix_skipping(model)
        if self.bf16_on_cpu:
            enable_bf16(model)
        return model

    def _build_train_pipeline(self) -> None:
        self.steps.restart()
        self.mosaic_closed = False
        super()._build_train_pipeline()
        self.frozen_features = attach_feature_stores(self, self.cache_limits)
        self.train_loader = choose_train_loader(self)
        seed_samples(self.train_loader, self._get_epoch_seed, had_workers=has_had_workers(self))
        if self.effective:  # out of memory in the first epoch: it starts again with a smaller batch
            self.effective = read_resolved_settings(self)

    def _close_dataloader_mosaic(self) -> None:
        super()._close_dataloader_mosaic()
        self.mosaic_closed = True

    def optimizer_step(self) -> None:
        """Make a step. The GPU loader then builds the next batch, while the device is busy with the step."""
        super().optimizer_step()
        self.steps.record_step()
        if isinstance(self.train_loader, GpuLoader):
            self.train_loader.prefetch_batch()

    def preprocess_batch(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Prepare a batch, and give the model its image indices where frozen layers are skipped."""
        ready = super().preprocess_batch(batch)
        self.threads.begin_step(work=ready["img"].numel())
        return attach_batch_indices(ready, unwrap_student(self.model), self.train_loader.dataset)

    def get_validator(self) -> Any:
        """Return Ultralytics' validator, which skips the frozen layers too."""
        validator = super().get_validator()
        attach_to_validator(validator, self)
        return validator

    def build_optimizer(self, model: Any, *args: Any, **kwargs: Any) -> Any:
        """Build Ultralytics' optimizer; where deeper layers learn slower, its groups are split by depth."""
        self.planned_steps = self.state["planned_steps"] if self.state else kwargs["iterations"]
        optimizer = super().build_optimizer(model, *args, **{**kwargs, "iterations": self.planned_steps})
        if rates := self.job.gradual or self.job.layer_decay:
            groups, decay = rates.groups, rates.decay
            split_optimizer_groups(optimizer, unwrap_model(model), groups=groups, decay=decay)
        return optimizer

    def resume_training(self, ckpt: Any) -> None:
        """Continue from the newest checkpoint of this training. Ultralytics' own `ckpt` is never set."""
        del ckpt
        if self.bf16_on_cpu:
            enable_bf16_teacher(unwrap_model(self.model))
        self.ema = build_ema(self.model, self.job.ema)
        if self.state is not None:
            restore_state(self, self.state)
            restore_buffer(self.train_loader.dataset, self.state["buffer"])
            if self.state["mosaic_closed"]:  # with `time` the number of epochs may have grown since
                self._close_dataloader_mosaic()
            self.waiting_gradients = self.state.pop("gradients")
        begin_criterion(
            unwrap_student(self.model),
            one_to_many=self.job.one_to_many,
            finished_epochs=self.start_epoch,
        )
        if self.state is not None and self.args.time:
            restore_estimate(self, self.state)

    def record_setup(self) -> None:
        """Record the settings after the set-up. Count the seconds of earlier sessions, also for `time`."""
        self.train_time_start -= self.state["seconds"] if self.state else 0.0
        self.update_frozen_layers()
        self.effective = read_resolved_settings(self)
        self.steps.begin_session()

    def begin_epoch(self) -> None:
        """Seed the random numbers of this epoch, and unfreeze the layers that are due."""
        if self.args.time:  # Ultralytics divides the seconds by the epochs since start_epoch
            self.start_epoch = 0
        restore_gradients(self.model, self.waiting_gradients)
        self.waiting_gradients = {}
        self.steps.begin_epoch(self.epoch * len(self.train_loader))
        seed_epoch(self._get_epoch_seed(), loader=self.train_loader, rank=self.member.rank)
        if self.is_shared and not has_seeded_samples(self.train_loader):
            self.train_loader.dataset.refill_buffer()  # a checkpoint has the buffer of one process only
        self.update_frozen_layers()
        self.threads.forget_steps()
        release_decoded_images(self)

    def count_batch(self) -> None:
        """Count a batch that is about to be trained on."""
        self.steps.count_batch()

    def update_frozen_layers(self) -> None:
        """Freeze and unfreeze layer groups by the schedule and the finished epochs."""
        if schedule := self.job.gradual:
            groups = split_model_layers(unwrap_student(self.model), schedule.groups)
            watched = WATCHED_METRICS[self.job.task]
            rows = self.share(self.rows)
            count = count_open_groups([row.get(watched, math.nan) for row in rows], schedule)
            freeze_layers(self, list_frozen_layers(groups, count))

    def _model_train(self) -> None:
        super()._model_train()
        if self.job.freeze_bn:
            freeze_batch_norms(unwrap_student(self.model))

    def choose_validation(self) -> None:
        """Decide by `val_every`, last epoch, early stopping and `time` whether this epoch is validated."""
        self.average_losses()
        epoch, stopper = self.epoch + 1, self.stopper
        ends = {"last": self.epochs, "best": stopper.best_epoch, "patience": stopper.patience}
        due = is_validation_due(epoch, self.job.val_every, **ends)
        self.args.val = self.share(due or self._may_run_out_of_time(epoch))
        stopper.possible_stop = False  # Ultralytics' own rule; a resumed training would not know it
        if not (self.args.val or self.stop):
            self.metrics, self.fitness = {}, None  # else those of an earlier epoch would count again

    def _may_run_out_of_time(self, epoch: int) -> bool:
        """Tell whether `time` may end the training after this epoch, or no epoch was validated yet."""
        if not self.args.time:
            return False
        seconds = time.time() - self.train_time_start
        return seconds * (epoch + 1) / epoch > 3600 * self.args.time or not self.stopper.best_epoch

    def save_metrics(self, metrics: dict[str, float]) -> None:
        """Add the figures of the epoch to the rows, under our names."""
        row = {"epoch": self.epoch + 1, "seconds": round(time.time() - self.train_time_start, 3)}
        named = convert_figures(metrics, self.fitness, self.job.task)
        threads = {THREADS: round(self.threads.read_average(), 2)}
        self.rows.append(row | named | read_learning_rates(self.optimizer) | threads)

    def save_model(self) -> bool:
        """Write a checkpoint."""
        self.collect_weights()
        self.state = take_snapshot(self)
        save_checkpoint(self.job.folder, self.epoch + 1, self.state)
        del self.state["gradients"]  # else they stay in memory after the next step
        return True

    def _handle_nan_recovery(self, epoch: int) -> bool:
        """Stop a training that diverged. Ultralytics would go on from its last file, or with NaN."""
        if self.member.rank:  # the first process has the losses of all, and ends them all
            return False
        last = {"train/loss": float(self.loss.detach())}
        figures = self.label_loss_items(self.tloss) | self.metrics | last
        check_losses(epoch + 1, figures, fitness=self.fitness, precision=self.effective["precision"])
        return False

    def final_eval(self) -> None:
        """Do nothing: the best epoch was validated, and this would be logged as an additional epoch."""
