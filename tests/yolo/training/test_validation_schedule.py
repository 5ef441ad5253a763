"""`val_every`: which epochs are validated, and what the others leave behind. Resuming: test_resident.py."""

import time
from dataclasses import replace

import pytest
from ultralytics.utils.torch_utils import EarlyStopping

from pipeline.yolo import epoch_metrics
from pipeline.yolo.training import train
from tests import trainings


def test_what_was_not_validated_counts_for_nothing(tmp_path):
    trainings.dataset(tmp_path)
    outcome = trainings.run(replace(trainings.job(tmp_path), val_every=2))
    assert [bool(epoch_metrics.figures(row)) for row in outcome.rows] == [False, True]
    assert outcome.best_epoch == 2
    assert outcome.weights["best"] == outcome.weights["last"]
    assert [len(losses) for losses in epoch_metrics.losses(outcome.rows)] == [1, 1]
    assert "train/box_loss" in outcome.rows[0]


@pytest.mark.parametrize(
    ("minutes", "best", "validated"),
    [(50, 5, False), (58, 5, True), (50, 0, True)],
    ids=["another epoch fits", "none may fit", "nothing was validated yet"],
)
def test_a_training_that_runs_out_of_time_is_validated_before(tmp_path, minutes, best, validated):
    trainings.dataset(tmp_path)
    trainer = train.build(replace(trainings.job(tmp_path, epochs=100, time=1.0), val_every=7))
    trainer.epoch, trainer.train_time_start = 9, time.time() - 60 * minutes
    trainer.stopper, trainer.stop, trainer.fitness = EarlyStopping(patience=0), False, 0.5
    trainer.stopper.best_epoch = best
    trainer.choose_validation()
    assert trainer.args.val == validated
    assert (trainer.fitness is not None) == validated
