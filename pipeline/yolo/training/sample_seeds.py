"""Seed each sample of a loader with worker processes by (seed, epoch, image).

Worker processes outlive an epoch and load ahead of it, so their random numbers depend on what they did
before, and on how many they are. With a seed for each sample a resumed training sees the same samples, with
any number of workers. A loader without workers is seeded once per epoch instead: see `state.seed_epoch`.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator
from typing import Any, Self

import numpy as np
import torch

MAX_IMAGES = 10_000_019
"""No dataset has more images: seeds of two epochs are further apart."""
REPEAT_STRIDE = 1_000_003
"""Between the seeds of two samples of one image in an epoch; no training has more epochs."""


class EpochIndex(int):
    """The index of an image, with the seed of its epoch, and how often it was drawn in the epoch before."""

    seed: int
    repeat: int

    def __new__(cls, index: int, seed: int, repeat: int = 0) -> Self:  # noqa: D102 - the class says it
        made = super().__new__(cls, index)
        made.seed, made.repeat = seed, repeat
        return made

    def __reduce__(self) -> tuple[type[EpochIndex], tuple[int, int, int]]:
        """Return how a worker process builds this index again."""
        return type(self), (int(self), self.seed, self.repeat)


class EpochBatches:
    """The batches of one epoch after another, without an end; replaces Ultralytics' `_RepeatSampler`.

    Args:
        sampler: The batch sampler of the loader; it draws the order of the images from `generator`.
        generator: The loader's generator.
        next_seed: Returns the seed of the epoch that begins; called when the loader starts its workers.
    """

    def __init__(self, sampler: Any, generator: torch.Generator, next_seed: Callable[[], int]) -> None:
        self.sampler = sampler  # its length is the length of the loader
        self.generator = generator
        self.next_seed = next_seed

    def __iter__(self) -> Iterator[list[EpochIndex]]:
        """Yield batches of indices."""
        for seed in itertools.count(self.next_seed()):
            self.generator.manual_seed(seed)
            order: Any = getattr(self.sampler, "sampler", None)
            if hasattr(order, "set_epoch"):  # one of several processes: their order has no generator
                order.set_epoch(seed)
            for batch in self.sampler:
                yield [EpochIndex(index, seed, getattr(index, "repeat", 0)) for index in batch]


class SeededSamplesMixin:
    """A dataset that draws the random numbers of a sample from the seed in its index, if there is one."""

    _epoch_seed: int | None = None

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Return a sample."""
        if isinstance(index, EpochIndex):
            self._begin_sample(index)
        sample: dict[str, Any] = super().__getitem__(int(index))  # type: ignore[misc]
        return sample

    def refill_buffer(self) -> None:
        """Forget the images of the epoch before. The default is for datasets that keep none."""

    def _begin_sample(self, index: EpochIndex) -> None:
        seed = (index.seed + index.repeat * REPEAT_STRIDE) * MAX_IMAGES + index
        if index.seed != self._epoch_seed:
            self._epoch_seed = index.seed
            _seed_generators(seed)
            self.refill_buffer()
        _seed_generators(seed)


def seed_samples(loader: Any, next_seed: Callable[[], int]) -> None:
    """Make a loader with worker processes seed each of its samples.

    Args:
        loader: Ultralytics' endless loader, before its first batch.
        next_seed: Returns the seed of the epoch that begins.
    """
    if loader.num_workers:
        batches = EpochBatches(loader.batch_sampler.sampler, loader.generator, next_seed)
        object.__setattr__(loader, "batch_sampler", batches)  # as Ultralytics does; DataLoader forbids it


def _seed_generators(seed: int) -> None:
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.default_generator.manual_seed(seed)
