"""When layer groups are unfrozen, and how much slower deeper ones learn.

Gradual unfreezing: the head learns first, deeper layer groups follow, each at a lower learning rate. After
Howard and Ruder, Universal Language Model Fine-tuning (2018): gradual unfreezing and discriminative learning
rates. The schedule depends on the finished epochs alone, so a resumed training needs no extra state.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Literal


@dataclass(frozen=True)
class UnfreezingSchedule:
    """When layer groups are unfrozen (opened).

    Args:
        trigger: `schedule` opens a group every `every` epochs, `plateau` when val mAP stalls for `stall`.
        every: Epochs, at least 1.
        stall: Epochs without a new best, at least 1.
        groups: Number of groups, at least 2; the first is everything above the backbone.
        decay: 0..1; each deeper group learns at this share of the rate of the group above it.
    """

    trigger: Literal["schedule", "plateau"]
    every: int
    stall: int
    groups: int
    decay: float


@dataclass(frozen=True)
class LayerDecay:
    """Lower learning rates for deeper layers: discriminative learning rates, without any freezing.

    Args:
        groups: Number of layer groups, at least 2; the first is everything above the backbone.
        decay: 0..1; each deeper group learns at this share of the rate of the group above it.
    """

    groups: int
    decay: float


def split_into_layer_groups(layers: int, *, backbone: int, groups: int) -> tuple[range, ...]:
    """Split a network into groups of consecutive layers, from the head down to the stem.

    Args:
        layers: Number of all layers, backbone included.
        backbone: Number of backbone layers; the layers above (neck and head) are the first group.
        groups: Number of groups, 2 or more.

    Raises:
        ValueError: There are more groups than the backbone can fill.
    """
    if not 2 <= groups <= backbone + 1:
        raise ValueError(
            f"a backbone of {backbone} layers can be cut into 2 to {backbone + 1} groups, not {groups}"
        )
    share, rest = divmod(backbone, groups - 1)
    sizes = [share + (index < rest) for index in range(groups - 1)]
    edges = [0, *accumulate(sizes), layers]
    return tuple(range(start, stop) for start, stop in reversed(list(pairwise(edges))))


def count_open_groups(history: Sequence[float], schedule: UnfreezingSchedule) -> int:
    """Count the layer groups that learn in the next epoch.

    Args:
        history: The val mAP of each finished epoch; empty before the first.
        schedule: Trigger and counts.
    """
    if schedule.trigger == "schedule":
        return min(schedule.groups, 1 + len(history) // schedule.every)
    count, best, stalled = 1, float("-inf"), 0
    for value in history:
        stalled = 0 if value > best else stalled + 1
        best = max(best, value)
        if stalled == schedule.stall:
            count, stalled = count + 1, 0
    return min(schedule.groups, count)


def list_frozen_layers(groups: Sequence[range], count: int) -> list[int]:
    """List the layers that are frozen while the first `count` groups are open."""
    return sorted(layer for group in groups[count:] for layer in group)
