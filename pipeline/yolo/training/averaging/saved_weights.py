"""Mixin for trainers: which weights of a training are saved, and the average of the best epochs."""

from __future__ import annotations

import time
from typing import Any, NamedTuple

import torch

from pipeline.core.metric_names import VAL_GROUP
from pipeline.runtime.progress import print_notice
from pipeline.yolo.distributed.member_mixin import MemberMixin
from pipeline.yolo.epoch_metrics import WATCHED_METRICS, convert_figures
from pipeline.yolo.frozen.features import attach_batch_indices
from pipeline.yolo.job import MetricsRow, TrainingJob, WeightAverage
from pipeline.yolo.training.averaging.batch_norm import estimate_batch_norms
from pipeline.yolo.training.averaging.best_epochs import (
    MIN_EPOCHS,
    EpochWeights,
    average_weights,
    select_best_epochs,
)
from pipeline.yolo.training.divergence import check_stored_weights, find_overflow
from pipeline.yolo.training.freezing import begin_training_mode
from pipeline.yolo.training.precision import autocast_forward_pass
from pipeline.yolo.training.resume.checkpoints import save_epoch_weights
from pipeline.yolo.training.resume.state import compute_epoch_seed, read_averaged_weights, seed_epoch
from pipeline.yolo.unwrap import unwrap_student


class _MeasuredMean(NamedTuple):
    """A mean of weights on val, with BatchNorm statistics that are averaged or estimated anew."""

    fitness: float
    metrics: dict[str, float]
    weights: dict[str, torch.Tensor]
    is_estimated: bool


class SavedWeightsMixin(MemberMixin):
    """A trainer that collects the weights that are saved: last, best, and those to be averaged.

    Weights of finetune.save_period are written at once; `saved_epochs` has their files by epochN.
    """

    job: TrainingJob
    effective: dict[str, Any]
    rows: list[MetricsRow]
    best_fitness: float | None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.saved_weights: dict[str, dict[str, torch.Tensor]] = {}
        self.saved_epochs: dict[str, str] = {}
        self.candidates: list[EpochWeights] = []
        self.average: WeightAverage | None = None
        super().__init__(*args, **kwargs)

    def collect_weights(self) -> None:
        """Keep the weights of this epoch; at the end of the training average those of the best epochs.

        Raises:
            DivergedError: They do not fit into fp16.
        """
        weights = read_averaged_weights(self)
        check_stored_weights(self.epoch + 1, weights, precision=self.effective["precision"])
        self.saved_weights["last"] = weights
        if self.stopper.best_epoch == self.epoch + 1:  # of equal epochs, the one that is reported
            self.saved_weights["best"] = weights
        if self.save_period > 0 and self.epoch % self.save_period == 0:
            name = f"epoch{self.epoch}"
            self.saved_epochs[name] = save_epoch_weights(self.job.folder, name, weights)
        if self.job.average:
            self._collect_candidate(weights)

    def _collect_candidate(self, weights: dict[str, torch.Tensor]) -> None:
        if self.fitness is not None:  # this epoch was validated
            self.candidates.append(EpochWeights(self.epoch + 1, float(self.fitness), weights))
            self.candidates = select_best_epochs(self.candidates, self.job.average)
        if self.stop:
            if len(self.candidates) >= MIN_EPOCHS:
                self._average_candidates()
            self.candidates = []

    def _average_candidates(self) -> None:
        """Average the candidates, and save the mean as the best weights if val says so."""
        start, network, best_fitness = time.time(), unwrap_student(self.ema.ema), self.best_fitness
        before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
        mean = average_weights([item.weights for item in self.candidates], before)
        means = [self._measure_mean(network, mean, estimated=estimated) for estimated in (False, True)]
        self.best_fitness = best_fitness
        network.load_state_dict(before)  # a checkpoint holds the moving average of the last epoch
        storable = [each for each in means if not find_overflow(each.weights)]
        best = max(storable or means, key=lambda each: each.fitness)
        is_taken = bool(storable) and best.fitness >= self.stopper.best_fitness
        if is_taken:
            self.saved_weights["best"] = best.weights
        self.average = WeightAverage(
            epochs=tuple(item.epoch for item in self.candidates),
            figures=convert_figures(best.metrics, best.fitness, self.job.task),
            is_taken=is_taken,
            is_estimated=best.is_estimated,
        )
        self.rows[-1]["seconds"] = round(self.rows[-1]["seconds"] + time.time() - start, 3)
        self._report_average(self.average)

    def _measure_mean(self, network: Any, mean: dict[str, torch.Tensor], *, estimated: bool) -> _MeasuredMean:
        """Load the mean of the candidates, and validate it.

        The mean of their BatchNorm statistics fits where their weights are close to one another. Statistics
        that are estimated anew fit always, but they need many images.
        """
        network.load_state_dict(mean, strict=False)  # layers that never learned stay as they are
        if estimated:
            self._estimate_batch_norms(network)
        metrics, fitness = self.validate()
        return _MeasuredMean(float(fitness), metrics, read_averaged_weights(self), estimated)

    def _estimate_batch_norms(self, network: Any) -> None:
        """Estimate BatchNorm statistics over one epoch of train images, augmented as in training."""
        norms = begin_training_mode(network, self.freeze_layer_names, freeze_bn=self.job.freeze_bn)
        seed_epoch(self._get_epoch_seed(), loader=self.train_loader)

        def run_epoch() -> None:
            for batch in self.train_loader:
                with autocast_forward_pass(self):
                    ready = attach_batch_indices(
                        super(SavedWeightsMixin, self).preprocess_batch(batch),
                        network,
                        self.train_loader.dataset,
                    )
                    network(ready["img"])

        estimate_batch_norms(norms, run_epoch)
        network.eval()

    def _get_epoch_seed(self) -> int:
        return compute_epoch_seed(int(self.args.seed), self.epoch)

    def _report_average(self, average: WeightAverage) -> None:
        metric = WATCHED_METRICS[self.job.task]
        name, best = metric.removeprefix(f"{VAL_GROUP}/"), self.stopper.best_fitness
        value = average.figures.get(metric, 0.0)
        single = f"epoch {self.stopper.best_epoch}"
        print_notice(
            f"finetune: the mean of the weights of epochs {average.epoch_list} has val {name} {value:.4f}, "
            f"{single} {best:.4f}; best.pt is {'the mean' if average.is_taken else single}"
        )
