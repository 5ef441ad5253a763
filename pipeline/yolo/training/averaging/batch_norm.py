"""Estimate BatchNorm statistics anew: averaged weights have activations that no epoch has seen."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn


def estimate_batch_norms(norms: Iterable[nn.BatchNorm2d], run_epoch: Callable[[], Any]) -> None:
    """Replace the statistics of BatchNorm layers by their mean over all batches.

    Args:
        norms: The layers, in training mode. Others keep their statistics, and so does a layer that no batch
            goes through.
        run_epoch: Runs the network on every batch once.
    """
    before = [(norm, norm.momentum, copy.deepcopy(norm.state_dict())) for norm in norms]
    for norm, *_ in before:
        norm.reset_running_stats()
        norm.momentum = None  # the mean over all batches, each with the same weight
    try:
        with torch.no_grad():
            run_epoch()
    finally:
        for norm, momentum, state in before:
            norm.momentum = momentum
            if not norm.num_batches_tracked:
                norm.load_state_dict(state)
