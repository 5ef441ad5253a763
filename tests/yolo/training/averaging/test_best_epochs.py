"""Which epochs are averaged, and their mean."""

from __future__ import annotations

import pytest
import torch

from pipeline.yolo.training.averaging.best_epochs import EpochWeights, average_weights, select_best_epochs


@pytest.mark.parametrize(
    ("fitness", "count", "selected"),
    [
        ([0.1, 0.3, 0.2, 0.25], 2, [2, 4]),
        ([0.3, 0.2, 0.1], 2, [1, 2]),
        ([0.5, 0.5, 0.5], 2, [2, 3]),  # equal on val: the ones that learned longer
        ([0.5], 3, [1]),
        ([], 3, []),
    ],
)
def test_the_best_epochs_are_selected_in_their_order(fitness, count, selected):
    epochs = [EpochWeights(epoch, value, {}) for epoch, value in enumerate(fitness, 1)]
    assert [item.epoch for item in select_best_epochs(epochs, count)] == selected


def test_epochs_selected_one_by_one_are_those_selected_at_once():
    epochs = [EpochWeights(epoch, value, {}) for epoch, value in enumerate([0.2, 0.4, 0.4, 0.1, 0.3], 1)]
    kept = []
    for item in epochs:
        kept = select_best_epochs([*kept, item], 3)
    assert kept == select_best_epochs(epochs, 3)


def test_the_mean_is_of_what_differs_and_in_fp32():
    states = [
        {"a": torch.tensor([large, 1.0]).half(), "frozen": torch.ones(2).half(), "count": torch.tensor(step)}
        for step, large in enumerate((60000.0, 60000.0, 30000.0))
    ]
    network = {name: tensor.float() for name, tensor in states[-1].items()} | {"count": torch.tensor(2)}
    network["frozen"] += 1e-6  # more than fp16 has
    mean = average_weights(states, network)
    assert mean.keys() == {"a"}
    assert mean["a"].dtype == torch.float32
    assert mean["a"].tolist() == pytest.approx([50000, 1.0])


def test_a_layer_that_learned_after_the_averaged_epochs_is_part_of_the_mean():
    states = [
        {"opened_later": torch.ones(2).half(), "head": torch.tensor([value]).half()} for value in (1.0, 3.0)
    ]
    mean = average_weights(states, {"opened_later": torch.full((2,), 9.0), "head": torch.tensor([3.0])})
    assert mean["opened_later"].tolist() == [1.0, 1.0]
    assert mean["head"].tolist() == [2.0]
