"""Resample test images in groups: near copies, or frames of one video, are drawn together or not at all."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Final, NamedTuple

import numpy as np

from pipeline.core.arrays import BoolArray, Float32Array, IntArray
from pipeline.evaluate.metrics.bootstrap import number_groups

MAX_LEFT_OUT_GROUPS: Final = 300
"""With more groups than this, none is left out in turn, which would take longer than the resamples."""


class ClusterResamples(NamedTuple):
    """How often each image counts: once, then in each resample, then with each group left out in turn.

    Attributes:
        weights: (1 + times + left out, images).
        times: Number of resamples.
        groups: (images,) index of each image's group.
        drawn: (times, groups) how often each group counts in each resample.
    """

    weights: IntArray
    times: int
    groups: IntArray
    drawn: Float32Array

    @property
    def group_count(self) -> int:
        """The number of groups."""
        return int(self.groups.max(initial=-1)) + 1

    def limit(self, times: int) -> ClusterResamples:
        """Return the same with the first resamples only."""
        if times >= self.times:
            return self
        kept = np.ones(len(self.weights), bool)
        kept[1 + times : 1 + self.times] = False
        return self.select(kept)

    def select(self, kept: BoolArray) -> ClusterResamples:
        """Return the same with some of the weightings only; the first one has to be among them."""
        drawn = self.drawn[kept[1 : 1 + self.times]]
        return ClusterResamples(self.weights[kept], len(drawn), self.groups, drawn)


def merge_groups(groupings: Sequence[Sequence[Hashable]]) -> IntArray:
    """Return the index (images,) of each image's group, where images are together if any grouping says so.

    Args:
        groupings: Each names the group of every image.
    """
    roots = list(range(len(groupings[0])))
    for grouping in groupings:
        first: dict[Hashable, int] = {}
        for place, name in enumerate(grouping):
            roots[_find_root(roots, place)] = _find_root(roots, first.setdefault(name, place))
    return number_groups([_find_root(roots, place) for place in range(len(roots))])


def _find_root(roots: list[int], place: int) -> int:
    while roots[place] != place:
        roots[place] = roots[roots[place]]
        place = roots[place]
    return place


def resample_groups(groups: IntArray, times: int, *, seed: int) -> ClusterResamples:
    """Draw as many groups as there are, with replacement; each comes with all of its images.

    Args:
        groups: (images,) index of each image's group.
        times: Resamples.
        seed: Of the draws: the same images and seed give the same resamples for all models.
    """
    count = int(groups.max(initial=-1)) + 1
    drawn = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), size=times)
    left_out = count if 1 < count <= MAX_LEFT_OUT_GROUPS else 0
    others = 1 - np.eye(left_out, count, dtype=np.int64)
    rows = np.concatenate([np.ones((1, count), np.int64), drawn, others])
    return ClusterResamples(rows[:, groups], times, groups, drawn.astype(np.float32))
