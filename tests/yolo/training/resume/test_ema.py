"""The moving average of the weights: Ultralytics' own numbers, or those of the configuration."""

from __future__ import annotations

import math

import pytest
from torch import nn
from ultralytics.utils.torch_utils import ModelEMA

from pipeline.yolo.job import EmaSettings
from pipeline.yolo.training.resume.state import build_ema
from pipeline.yolo.training.train import build_trainer
from tests import trainings


def test_defaults_are_those_of_ultralytics():
    own, theirs = build_ema(nn.Linear(1, 1), EmaSettings()), ModelEMA(nn.Linear(1, 1))
    assert [own.decay(step) for step in (1, 300, 2000, 10**6)] == [
        theirs.decay(step) for step in (1, 300, 2000, 10**6)
    ]


def test_decay_and_tau_decide_how_much_of_the_average_is_kept():
    average = build_ema(nn.Linear(1, 1), EmaSettings(0.9, 10), updates=7)
    assert average.updates == 7
    assert average.decay(10) == pytest.approx(0.9 * (1 - math.exp(-1)))


@pytest.mark.slow
def test_a_training_uses_them_also_after_a_resume(tmp_path):
    trainings.dataset(tmp_path)
    for epochs in (1, 2):
        trainer = build_trainer(trainings.job(tmp_path, ema=EmaSettings(0.5, 1e-3), epochs=epochs))
        if trainer.state:  # else the training is at its end
            trainer.state["stop"] = False
        trainer.train()
        assert (trainer.start_epoch, trainer.ema.decay(1)) == (epochs - 1, 0.5)
    assert trainer.ema.updates == 4


@pytest.mark.slow
def test_without_decay_the_average_is_the_weights(tmp_path):
    trainings.dataset(tmp_path)
    trainer = build_trainer(trainings.job(tmp_path, ema=EmaSettings(0.0), epochs=1))
    trainer.train()
    weights = trainer.model.state_dict()
    assert all(
        tensor.equal(weights[name])
        for name, tensor in trainer.ema.ema.state_dict().items()
        if tensor.is_floating_point()
    )
