"""Run a rate test: a few dozen steps with a rising learning rate, on a network that is thrown away.

The test has a trainer of its own, with the network, loader, loss and optimizer of the training. Random
numbers are seeded when the trainer of the training is built, so the training is the same as without a test.
"""

from __future__ import annotations

import gc
import itertools
import math
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Final

import torch
from ultralytics.utils.torch_utils import unset_deterministic, unwrap_model

from pipeline.runtime.progress import Progress, print_notice
from pipeline.yolo.errors import check_automatic_batch, check_device, explain_ultralytics_errors
from pipeline.yolo.frozen.store import CacheLimits
from pipeline.yolo.job import TrainingJob
from pipeline.yolo.rate_test.choose_rate import FALL, RateTest, choose_rate
from pipeline.yolo.training.precision import autocast_forward_pass
from pipeline.yolo.training.train import build_trainer
from pipeline.yolo.training.trainer import TrainingMixin
from pipeline.yolo.ultralytics_environment import limit_ultralytics_log

STEPS: Final = 32
"""Optimizer steps of a test at most."""
LOWEST: Final = 1 / 16
HIGHEST: Final = 8.0
"""The first and the last rate of a test, as multiples of the usual one."""
_CLEAR: Final = 2
"""A test ends where the loss has fallen, or risen, by so many times the fall that it looks for."""
_PATIENCE: Final = 3
"""In so many steps."""
_TEST_ARGUMENTS: Final[dict[str, Any]] = {"cache": False, "compile": False}
"""A test sees few images, and few of them twice; to compile the network would take longer than the test."""


def run_rate_test(job: TrainingJob, usual: float) -> RateTest:
    """Test learning rates around the usual one on the images of a training, and choose one.

    The base weights, as a copy, make up to `STEPS` optimizer steps; each has a larger rate than the one
    before. The loss of each batch is compared with that of the base weights on the same batch: images differ
    more than steps do.

    Args:
        job: The training, in one process; its `lr0` is not used. Its folder gets a folder for the time of the
            test.
        usual: The learning rate where nothing is measured.

    Raises:
        UserError: The training cannot start, or the memory is not enough.
    """
    arguments = job.arguments
    limit_ultralytics_log()
    check_device(arguments["device"])
    check_automatic_batch(arguments["batch"], arguments["device"])
    folder = job.folder / "rate_test"
    tested = replace(job, arguments={**arguments, **_TEST_ARGUMENTS, "lr0": usual}, folder=folder)
    print_notice(f"finetune: lr0=auto: testing rates from {usual * LOWEST:.1e} to {usual * HIGHEST:.1e}")
    try:
        with explain_ultralytics_errors(
            batch=arguments["batch"], imgsz=arguments["imgsz"], device=arguments["device"]
        ):
            rates, losses = _measure_losses(tested, usual)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        gc.collect()  # the trainer and its callbacks refer to each other
        torch.cuda.empty_cache()
    return choose_rate(rates, losses, usual=usual)


def _measure_losses(job: TrainingJob, usual: float) -> tuple[list[float], list[float]]:
    """Return the rates, and before each step the loss as a multiple of that of the base weights."""
    rates: list[float] = []
    losses: list[float] = []
    with _open_trainer(job) as trainer, Progress("finetune", STEPS, unit="test steps") as progress:
        first = _copy_weights(trainer)
        batches = _iterate_batches(trainer)
        for step in range(STEPS):
            rate = usual * LOWEST * (HIGHEST / LOWEST) ** (step / (STEPS - 1))
            loss = _make_step(trainer, list(itertools.islice(batches, trainer.accumulate)), first, rate=rate)
            if not (math.isfinite(loss) and loss > 0):
                break
            rates.append(rate)
            losses.append(loss)
            progress.update(1)
            if _is_clear(losses[-_PATIENCE:]):
                break
    return rates, losses


def _is_clear(last: list[float]) -> bool:
    """Tell whether the last losses say enough: the fall is over, or the training diverges."""
    if len(last) < _PATIENCE:
        return False
    return max(last) < 1 - _CLEAR * FALL or min(last) > 1 + _CLEAR * FALL


@contextmanager
def _open_trainer(job: TrainingJob) -> Iterator[TrainingMixin]:
    """Build a trainer as far as before its first epoch; release what it holds at the end."""
    job.folder.mkdir(parents=True, exist_ok=True)
    trainer = build_trainer(job)
    trainer.cache_limits = CacheLimits(0, 0)  # a batch passes the network twice, so from its first layer on
    try:
        with trainer.threads:
            trainer._setup_train()
            trainer.ema = None  # nothing is averaged
            yield trainer
    finally:
        for name in ("train_loader", "test_loader"):
            if (loader := getattr(trainer, name, None)) is not None:
                loader.close()
        unset_deterministic()  # as at the end of each training


def _iterate_batches(trainer: TrainingMixin) -> Iterator[dict[str, Any]]:
    """Yield batches as the training sees them from its first epoch on, without an end."""
    for epoch in itertools.count():
        trainer.epoch = epoch
        trainer.begin_epoch()
        trainer._model_train()
        yield from trainer.train_loader


def _copy_weights(trainer: TrainingMixin) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in unwrap_model(trainer.model).state_dict().items()}


def _make_step(
    trainer: TrainingMixin, batches: list[dict[str, Any]], first: dict[str, torch.Tensor], *, rate: float
) -> float:
    """Make an optimizer step; return the loss before it as a multiple of that of the first weights."""
    logs = [_backward(trainer, batch, first) for batch in batches]
    for group in trainer.optimizer.param_groups:
        group["lr"] = rate * group["initial_lr"] / trainer.args.lr0
    trainer.optimizer_step()
    return math.exp(math.fsum(logs) / len(logs)) if all(map(math.isfinite, logs)) else math.nan


def _backward(trainer: TrainingMixin, batch: dict[str, Any], first: dict[str, torch.Tensor]) -> float:
    """Add the gradients of a batch; return the logarithm of its loss over that of the first weights."""
    trainer.count_batch()
    model = unwrap_model(trainer.model)
    with autocast_forward_pass(trainer):
        ready = trainer.preprocess_batch(batch)
        now = _copy_weights(trainer)
        model.load_state_dict(first)
        with torch.no_grad():
            before = float(trainer.model({**ready})[0].sum())
        model.load_state_dict(now)
        loss = trainer.model(ready)[0].sum()
    trainer.scaler.scale(loss).backward()
    trainer.threads.end_step()
    return compute_log_ratio(before, float(loss.detach()))


def compute_log_ratio(before: float, current: float) -> float:
    """Compute the logarithm of a loss over the one before; NaN where one is not a finite number above 0."""
    is_possible = all(math.isfinite(loss) and loss > 0 for loss in (before, current))
    return math.log(current) - math.log(before) if is_possible else math.nan
