"""BatchNorm statistics that are estimated anew."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from pipeline.yolo.training.averaging.batch_norm import estimate_batch_norms


def test_statistics_are_the_mean_over_the_batches_and_settings_stay():
    norm, unused = nn.BatchNorm2d(2, momentum=0.03), nn.BatchNorm2d(2)
    for layer in (norm, unused):
        layer.running_mean.fill_(7.0)
    torch.manual_seed(0)
    batches = [torch.randn(4, 2, 3, 3) + shift for shift in (0.0, 1.0, 5.0)]
    estimate_batch_norms([norm, unused], lambda: [norm(batch) for batch in batches])
    means, variances = (
        torch.stack([function(batch, dim=(0, 2, 3)) for batch in batches]).mean(dim=0)
        for function in (torch.mean, torch.var)
    )
    assert norm.running_mean.tolist() == pytest.approx(means.tolist(), rel=1e-5)
    assert norm.running_var.tolist() == pytest.approx(variances.tolist(), rel=1e-5)
    assert (norm.momentum, unused.momentum) == (0.03, 0.1)
    assert unused.running_mean.tolist() == [7.0, 7.0]


def test_settings_come_back_after_an_error():
    norm = nn.BatchNorm2d(1, momentum=0.03)
    norm.running_mean.fill_(7.0)
    with pytest.raises(KeyError):
        estimate_batch_norms([norm], lambda: {}["batch"])
    assert (norm.momentum, norm.running_mean.item()) == (0.03, 7.0)
