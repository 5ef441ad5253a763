"""A training that diverged fails in one sentence, and keeps its best epoch before."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from ultralytics import YOLO

from pipeline.core.errors import UserError
from pipeline.yolo.training import trainer as trainer_module
from pipeline.yolo.training.divergence import check_losses, check_stored_weights
from pipeline.yolo.training.resume.checkpoints import load_newest_checkpoint
from pipeline.yolo.training.task_trainers import DetectTraining
from pipeline.yolo.training.train import BEST_BEFORE_DIVERGENCE, build_trainer
from tests import trainings


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A project folder with a dataset."""
    folder = tmp_path_factory.mktemp("diverged")
    trainings.dataset(folder)
    return folder


@pytest.fixture
def job(root, tmp_path):
    """Return a function that builds a job with checkpoints of its own."""
    (tmp_path / "data").symlink_to(root / "data")
    return lambda **changes: trainings.job(tmp_path, **changes)


@pytest.mark.fault(8, "training diverges")
def test_val_losses_that_are_not_finite_end_the_training(job):
    with pytest.raises(UserError, match=r"diverged in epoch 1 \((train|val)/\w+ is not a finite number\)"):
        trainings.run(job(lr0=1.0, epochs=3, weights=trainings.FOUNDATION))


@pytest.mark.fault(8, "weights grow above half precision")
def test_weights_above_half_precision_are_not_clamped(job, monkeypatch):
    """The losses may still be finite: BatchNorm divides large weights away."""
    step = DetectTraining.optimizer_step

    def enlarge(trainer):
        step(trainer)
        if trainer.epoch == 1:
            next(iter(trainer.ema.ema.parameters())).data[0, 0, 0, 0] = 70_000.0

    monkeypatch.setattr(DetectTraining, "optimizer_step", enlarge)
    made = job(epochs=3)
    with pytest.raises(UserError, match=r"diverged in epoch 2 \(weights are above 65504 .* in model\.0\."):
        trainings.run(made)
    assert load_newest_checkpoint(made.folder)["epoch"] == 0


@pytest.mark.fault(8, "training diverges after good epochs")
def test_best_epoch_before_the_divergence_is_kept_and_named(job, monkeypatch):
    validate = DetectTraining.validate

    def diverge(trainer):
        metrics, fitness = validate(trainer)
        return metrics | ({"val/box_loss": math.nan} if trainer.epoch == 2 else {}), fitness

    monkeypatch.setattr(DetectTraining, "validate", diverge)
    made = job(epochs=4, weights=trainings.FOUNDATION)
    with pytest.raises(
        UserError, match=r"in epoch 3 \(val/box_loss .*; the best epoch before is \d, and"
    ) as told:
        trainings.run(made)
    path = Path(str(told.value).rpartition(" ")[2])
    assert path == made.folder / BEST_BEFORE_DIVERGENCE
    assert YOLO(path).names == dict(enumerate(trainings.NAMES))
    with pytest.raises(UserError, match="diverged in epoch 3"):  # not trained again from the start
        trainings.run(made)
    assert load_newest_checkpoint(made.folder)["epoch"] == 1


def test_divergence_before_the_first_validation_is_told_without_a_best_epoch(job, monkeypatch):
    check = trainer_module.check_losses

    def diverge(epoch, figures, **rest):
        check(epoch, figures | ({"train/box_loss": math.nan} if epoch == 2 else {}), **rest)

    monkeypatch.setattr(trainer_module, "check_losses", diverge)
    with pytest.raises(UserError, match=r"diverged in epoch 2 \(train/box_loss ") as told:
        trainings.run(replace(job(epochs=8), val_every=4))
    assert "best epoch" not in str(told.value)


@pytest.mark.fault(8, "base weights or a teacher with NaN")
@pytest.mark.parametrize("key", ["model.weights", "finetune.distill_model"])
def test_weights_with_nan_are_refused_before_the_training(job, tmp_path, key):
    checkpoint = torch.load(trainings.FOUNDATION, weights_only=False)
    next(checkpoint["model"].parameters()).data[0] = math.nan
    damaged = tmp_path / "damaged.pt"
    torch.save(checkpoint, damaged)
    changes = {"weights": damaged} if key == "model.weights" else {"distill_model": str(damaged)}
    with pytest.raises(
        UserError, match=rf"damaged\.pt cannot be trained from: .*; set {key} to other weights"
    ):
        build_trainer(job(**changes))


def test_advice_names_fp32_only_where_it_is_another_precision():
    for precision, advised in (("bf16", True), ("fp32", False)):
        with pytest.raises(UserError) as told:
            check_losses(3, {"val/box_loss": math.inf}, fitness=None, precision=precision)
        assert ("finetune.precision=fp32" in str(told.value)) is advised


@pytest.mark.parametrize("fitness", [math.nan, math.inf])
@pytest.mark.fault(8, "fitness is not finite")
def test_fitness_that_is_not_finite_is_a_divergence(fitness):
    with pytest.raises(UserError, match="diverged in epoch 3"):
        check_losses(3, {"val/box_loss": 1.0}, fitness=fitness, precision="fp32")


def test_metrics_without_a_value_are_no_divergence():
    figures = {"metrics/precision": math.nan, "val/box_loss": 1.0}
    check_losses(3, figures, fitness=0.0, precision="fp32")


def test_integers_and_large_finite_weights_fit():
    check_stored_weights(1, {"a": torch.tensor([65504.0]).half(), "n": torch.tensor(10**9)}, precision="fp32")
