"""Keep the weights of the best epochs, and average them.

After Izmailov et al., Averaging Weights Leads to Wider Optima (2018), and Wortsman et al., Model Soups
(2022): the weights of one training are close enough to be averaged, and their mean often generalizes better
than each of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import torch

MIN_EPOCHS: Final = 2
"""Epochs that make an average."""


class EpochWeights(NamedTuple):
    """The weights of a validated epoch.

    Attributes:
        epoch: From 1.
        fitness: On val; higher is better.
        weights: The fp16 state dict.
    """

    epoch: int
    fitness: float
    weights: Mapping[str, torch.Tensor]


def select_best_epochs(epochs: Sequence[EpochWeights], count: int) -> list[EpochWeights]:
    """Select the epochs with the highest fitness; of equal ones the later, which has learned longer.

    Args:
        epochs: In any order.
        count: How many, at least 1.

    Returns:
        At most `count` of them, in the order of the epochs.
    """
    best = sorted(epochs, key=lambda item: (item.fitness, item.epoch), reverse=True)[:count]
    return sorted(best, key=lambda item: item.epoch)


def average_weights(
    states: Sequence[Mapping[str, torch.Tensor]], network: Mapping[str, torch.Tensor]
) -> dict[str, torch.Tensor]:
    """Return the mean of the tensors that differ between state dicts or from a network, in fp32.

    Tensors that are equal everywhere are left out: those of frozen layers, which a network has in more than
    fp16. So are integers. Layers that were frozen in all of these epochs may have learned since.

    Args:
        states: At least one, all with the same tensors, in fp16.
        network: The state dict of the network that the mean is loaded into.
    """
    return {
        name: torch.stack([state[name].float() for state in states]).mean(dim=0)
        for name, own in network.items()
        if own.is_floating_point()
        and not all(state[name].equal(own.detach().half().cpu()) for state in states)
    }
