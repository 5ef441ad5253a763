"""Repeat the train images of rare classes within an epoch (repeat-factor sampling, Gupta et al. 2019, LVIS).

An image is seen r = max over its classes c of max(1, sqrt(threshold / f(c))) times in an epoch, where f(c) is
the share of the images with that class. The whole part of r is certain; which images get one more is drawn
anew in each epoch, by its seed, and always so many that each epoch has the same number of samples: warm-up,
rates and a resumed training count the batches of an epoch.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, Self

import numpy as np
import torch
from torch.utils.data import Sampler
from ultralytics.engine.trainer import BaseTrainer

from pipeline.core.arrays import FloatArray, IntArray
from pipeline.yolo.distributed.group_member import GroupMember
from pipeline.yolo.job import TrainingJob


class RepeatedIndex(int):
    """The index of an image, with the number of times that it was drawn before in its epoch."""

    repeat: int

    def __new__(cls, index: int, repeat: int) -> Self:  # noqa: D102 - the class says it
        made = super().__new__(cls, index)
        made.repeat = repeat
        return made


class RepeatFactorSampler(Sampler[int]):
    """The order of the images of an epoch, in which images of rare classes are repeated.

    Args:
        factors: (images,) how often each image is seen in the mean, at least 1.
        generator: The loader's generator, which is seeded before each epoch.
    """

    def __init__(self, factors: FloatArray, generator: torch.Generator) -> None:
        self.factors, self.generator = factors, generator
        self.total = round(float(factors.sum()))

    def __len__(self) -> int:
        """Return the number of samples in an epoch, the same in each."""
        return self.total

    def __iter__(self) -> Iterator[int]:
        """Draw an epoch."""
        return iter(self.draw_epoch(self.generator))

    def draw_epoch(self, generator: torch.Generator) -> list[RepeatedIndex]:
        """Draw the samples of an epoch, in random order.

        Args:
            generator: Its state alone decides what is drawn.
        """
        counts = draw_repeats(self.factors, self.total, generator)
        indices = np.repeat(np.arange(len(counts)), counts)
        repeats = np.arange(self.total) - np.repeat(np.cumsum(counts) - counts, counts)
        order = torch.randperm(self.total, generator=generator).numpy()
        pairs = zip(indices[order].tolist(), repeats[order].tolist(), strict=True)
        return [RepeatedIndex(index, repeat) for index, repeat in pairs]


class SharedRepeatFactorSampler(RepeatFactorSampler):
    """The part of one of several processes, as torch's DistributedSampler divides images.

    Args:
        factors: See `RepeatFactorSampler`.
        member: This process among those of the training.
    """

    def __init__(self, factors: FloatArray, member: GroupMember) -> None:
        super().__init__(factors, torch.Generator())
        self.member, self.seed, self.epoch = member, 0, 0

    def __len__(self) -> int:
        """Return the number of samples of this process in an epoch."""
        return math.ceil(self.total / self.member.size)

    def __iter__(self) -> Iterator[int]:
        """Draw an epoch, the same in all processes, and keep the part of this one."""
        drawn = self.draw_epoch(self.generator.manual_seed(self.seed + self.epoch))
        drawn += drawn[: len(self) * self.member.size - self.total]
        return iter(drawn[self.member.rank :: self.member.size])

    def set_epoch(self, epoch: int) -> None:
        """Set the seed of the next epoch."""
        self.epoch = epoch


class RepeatFactorMixin(BaseTrainer):  # type: ignore[misc]
    """A trainer whose train loader repeats images of rare classes (finetune.repeat_rare)."""

    job: TrainingJob
    member: GroupMember

    def get_dataloader(
        self, dataset_path: Any, batch_size: int = 16, rank: int = 0, mode: str = "train"
    ) -> Any:
        """Build Ultralytics' loader, which repeats train images where the configuration says so."""
        loader = super().get_dataloader(dataset_path, batch_size=batch_size, rank=rank, mode=mode)
        return self.repeat_rare_images(loader, mode)

    def repeat_rare_images(self, loader: Any, mode: str) -> Any:
        """Let a loader of train images repeat those of rare classes; without rare classes nothing changes."""
        if mode == "train" and self.job.repeat_rare:
            factors = compute_repeat_factors(list_image_classes(loader.dataset), self.job.repeat_rare)
            set_repeat_factors(loader, factors, self.member)
        return loader


def compute_repeat_factors(classes: Sequence[IntArray], threshold: float) -> FloatArray:
    """Compute how often each image is seen in an epoch, in the mean: (images,), at least 1.

    Args:
        classes: For each image the class of each object; empty for background, which is seen once.
        threshold: The share of images below which a class is rare, 0 to 1.
    """
    kinds = [np.unique(each) for each in classes]
    shown = np.concatenate(kinds) if kinds else np.zeros(0, np.int64)
    shares = np.bincount(shown, minlength=1) / max(1, len(classes))
    with np.errstate(divide="ignore"):  # a class number without images
        factors = np.maximum(1.0, np.sqrt(threshold / shares))
    return np.array([factors[each].max(initial=1.0) for each in kinds], np.float64)


def draw_repeats(factors: FloatArray, total: int, generator: torch.Generator) -> IntArray:
    """Draw how often each image is seen in an epoch: (images,), `total` in all.

    Each image gets the whole part of its factor. The rest goes by systematic sampling to images in random
    order, so that each gets one more with the probability of its fractional part, up to the rounding of
    `total`.

    Args:
        factors: (images,) the mean numbers.
        total: Their sum as a whole number, rounded up or down.
        generator: Of the random numbers.
    """
    whole = np.floor(factors).astype(np.int64)
    rest, parts = total - int(whole.sum()), factors - whole
    order = torch.randperm(len(factors), generator=generator).numpy()
    start = float(torch.rand((), generator=generator))
    if rest > 0:
        places = np.cumsum(parts[order]) * (rest / parts.sum())
        places[-1] = rest
        steps = np.floor(np.minimum(places, rest) + start).astype(np.int64)
        whole[order] += np.diff(steps, prepend=0)
    return whole


def list_image_classes(dataset: Any) -> list[IntArray]:
    """List the classes of the objects of each image of a train dataset; of classify the image's own."""
    if hasattr(dataset, "labels"):
        return [label["cls"].reshape(-1).astype(np.int64) for label in dataset.labels]
    return [np.array([sample[1]], np.int64) for sample in dataset.samples]


def set_repeat_factors(loader: Any, factors: FloatArray, member: GroupMember) -> None:
    """Replace the sampler of a loader, before its first batch. Without repeats the loader stays as it is.

    Args:
        loader: Ultralytics' endless loader.
        factors: (images,) see `compute_repeat_factors`.
        member: This process among those of the training.
    """
    sampler = RepeatFactorSampler(factors, loader.generator)
    if len(sampler) == len(factors):
        return
    if member.size > 1:
        sampler = SharedRepeatFactorSampler(factors, member)
    loader.batch_sampler.sampler.sampler = sampler
    object.__setattr__(loader, "sampler", sampler)  # DataLoader forbids it; Ultralytics does so, too


def count_epoch_samples(loader: Any, processes: int) -> int:
    """Count the samples of an epoch of all processes together.

    Args:
        loader: Of the train images.
        processes: That train together, at least 1.
    """
    return len(loader.sampler) * max(1, processes)
