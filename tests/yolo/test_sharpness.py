"""Sharpness-aware steps."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from pipeline.core.errors import UserError
from pipeline.yolo.sharpness import SharpnessMixin, pause_batch_norms, perturb_weights
from pipeline.yolo.training.train import build_trainer
from tests import trainings


def test_weights_move_along_the_gradient_by_rho_in_all():
    first, second = nn.Parameter(torch.zeros(2)), nn.Parameter(torch.ones(1))
    first.grad, second.grad = torch.tensor([3.0, 0.0]), torch.tensor([-4.0])
    before = perturb_weights([first, second], 0.5)
    assert first.tolist() == pytest.approx([0.3, 0.0])
    assert second.tolist() == pytest.approx([0.6])
    assert [weights.tolist() for weights in before] == [[0.0, 0.0], [1.0]]


def test_paused_batch_norms_use_the_batch_and_keep_their_statistics():
    norm = nn.BatchNorm2d(1, momentum=0.03)
    batch = torch.randn(4, 1, 3, 3) + 5
    with pause_batch_norms([norm]):
        output = norm(batch)
    assert output.mean().item() == pytest.approx(0, abs=1e-5)
    assert (norm.running_mean.item(), norm.momentum) == (0.0, 0.03)


@pytest.mark.parametrize(
    ("scaled", "accumulate", "sentence"),
    [
        (True, 1, "not possible in fp16"),
        (False, 2, "enough for 8 images: set finetune.batch and finetune.nbs"),
    ],
)
def test_scaled_gradients_and_those_of_several_batches_are_refused(scaled, accumulate, sentence):
    trainer = SimpleNamespace(
        job=SimpleNamespace(sam=0.05),
        scaler=SimpleNamespace(is_enabled=lambda: scaled),
        steps=SimpleNamespace(accumulate=accumulate),
        batch_size=8,
    )
    with pytest.raises(UserError, match=sentence):
        SharpnessMixin._check_gradient(trainer)


def _train(root, **changes):
    """Train; return the weights at the end, and how often the first layer that learns ran in training."""
    trainings.dataset(root)
    trainer, passes = build_trainer(trainings.job(root, epochs=1, freeze=2, optimizer="SGD", **changes)), []

    def count(module, _inputs, _output):
        passes.append(module.training)

    trainer.add_callback(
        "on_train_start", lambda trainer: trainer.model.model[2].register_forward_hook(count)
    )
    trainer.train()
    return trainer.model.state_dict(), sum(passes)


@pytest.mark.slow
def test_each_batch_passes_twice_and_an_almost_zero_rho_is_a_plain_step(tmp_path):
    (plain, once), (tiny, twice), (far, _) = (
        _train(tmp_path / str(rho), sam=rho) for rho in (0.0, 1e-7, 0.5)
    )
    assert (once, twice) == (2, 4)
    name = "model.23.cv2.0.0.conv.weight"
    torch.testing.assert_close(tiny[name], plain[name], rtol=1e-3, atol=1e-5)
    change = (tiny[name] - plain[name]).abs().mean()
    assert (far[name] - plain[name]).abs().mean() > 10 * change
