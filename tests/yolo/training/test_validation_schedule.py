"""`val_every`: epochs without validation have no val metrics. Resume: gpu_loader/test_loader.py."""

import time
from dataclasses import replace

import pytest
from ultralytics.utils.torch_utils import EarlyStopping

from pipeline.yolo.epoch_metrics import select_val_metrics, sum_losses
from pipeline.yolo.training.train import build_trainer
from tests import trainings


def test_epoch_without_validation_has_no_val_metrics(tmp_path):
    trainings.dataset(tmp_path)
    outcome = trainings.run(replace(trainings.job(tmp_path), val_every=2))
    assert [bool(select_val_metrics(row)) for row in outcome.rows] == [False, True]
    assert outcome.best_epoch == 2
    assert outcome.weights["best"] == outcome.weights["last"]
    assert [len(losses) for losses in sum_losses(outcome.rows)] == [1, 1]
    assert "train/box_loss" in outcome.rows[0]


@pytest.mark.parametrize(
    ("minutes", "best", "validated"),
    [(50, 5, False), (58, 5, True), (50, 0, True)],
    ids=["another epoch fits", "no other epoch may fit", "nothing was validated yet"],
)
def test_epoch_that_may_be_the_last_within_time_is_validated(tmp_path, minutes, best, validated):
    trainings.dataset(tmp_path)
    trainer = build_trainer(replace(trainings.job(tmp_path, epochs=100, time=1.0), val_every=7))
    trainer.epoch, trainer.train_time_start = 9, time.time() - 60 * minutes
    trainer.stopper, trainer.stop, trainer.fitness = EarlyStopping(patience=0), False, 0.5
    trainer.stopper.best_epoch = best
    trainer.choose_validation()
    assert trainer.args.val == validated
    assert (trainer.fitness is not None) == validated
