"""Seed each sample of a loader by (seed, epoch, image), where it has worker processes or had some before.

Worker processes outlive an epoch and load ahead of it, so their random numbers depend on what they did
before, and on how many they are. With a seed for each sample a resumed training sees the same samples, with
any number of workers, also none; but where no images are cached in memory, mosaics are drawn from those that
each worker has just loaded. A training that never had workers is seeded once per epoch instead: see
`state.seed_epoch`.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any, Self

import numpy as np
import torch
from torch.utils.data import get_worker_info

from pipeline.runtime.progress import print_notice

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
        if not isinstance(index, EpochIndex):
            return self._read_sample(index)
        with nullcontext() if get_worker_info() else _keep_generators():
            self._begin_sample(index)
            return self._read_sample(index)

    def _read_sample(self, index: int) -> dict[str, Any]:
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


def seed_samples(loader: Any, next_seed: Callable[[], int], *, had_workers: bool = False) -> None:
    """Make a loader with worker processes seed each of its samples.

    Args:
        loader: Ultralytics' endless loader, before its first batch; nothing changes for the GPU loader.
        next_seed: Returns the seed of the epoch that begins.
        had_workers: The training had worker processes before: also a loader without any goes on like them.
    """
    if loader.num_workers or (had_workers and hasattr(loader, "batch_sampler")):
        batches = EpochBatches(loader.batch_sampler.sampler, loader.generator, next_seed)
        object.__setattr__(loader, "batch_sampler", batches)  # as Ultralytics does; DataLoader forbids it


def has_seeded_samples(loader: Any) -> bool:
    """Tell whether a loader seeds each of its samples."""
    return isinstance(getattr(loader, "batch_sampler", None), EpochBatches)


def has_had_workers(trainer: Any) -> bool:
    """Tell whether a training had worker processes in an earlier session.

    A line says so if its samples are not those of an undisturbed training: it had none and has some now, as
    several processes cannot draw from one stream of random numbers; or mosaics depend on their number.
    """
    if not trainer.state:
        return False
    effective = trainer.state["effective"]
    numbers = [session.get("workers", 0) for session in effective.get("sessions", [effective])]
    had_workers, now = any(numbers), trainer.train_loader.num_workers
    depends = trainer.args.mosaic > 0 and _draws_from_buffer(trainer.train_loader.dataset)
    changes = depends and {*numbers} != {now}
    if trainer.member.rank == 0 and ((now and not had_workers) or (had_workers and changes)):
        print_notice(
            f"finetune: from epoch {trainer.state['epoch'] + 2} on, images are drawn otherwise than without "
            f"this stop: the training had {' and '.join(map(str, numbers))} worker processes before "
            f"(finetune.workers), and has {now} now"
        )
    return had_workers


def _draws_from_buffer(dataset: Any) -> bool:
    """Tell whether mosaics of a dataset are drawn from images that were just loaded, not from all."""
    cached = {getattr(dataset, "cache", None), getattr(dataset, "began_with", None)}
    return getattr(dataset, "max_buffer_length", 0) > 1 and "ram" not in cached


@contextmanager
def _keep_generators() -> Iterator[None]:
    """Restore the random generators afterwards, which the training itself uses in this process."""
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
        torch.set_rng_state(states[2])


def _seed_generators(seed: int) -> None:
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.default_generator.manual_seed(seed)
