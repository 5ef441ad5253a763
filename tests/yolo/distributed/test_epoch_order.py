"""The order of images in several processes: together they see each image, in an order of each epoch's own."""

from __future__ import annotations

from itertools import chain, islice

import torch
from torch.utils.data import BatchSampler, DistributedSampler

from pipeline.yolo.training.sample_seeds import EpochBatches

IMAGES, BATCH, BATCHES = range(12), 2, 3


def take_epoch(rank, *, first_seed, skipped):
    """Return the images of one epoch of one process, whose loader has workers."""
    order = DistributedSampler(IMAGES, num_replicas=2, rank=rank, shuffle=True, seed=0)
    batches = EpochBatches(BatchSampler(order, BATCH, drop_last=False), torch.Generator(), lambda: first_seed)
    taken = []
    for number, batch in enumerate(islice(batches, (skipped + 1) * BATCHES)):
        order.set_epoch(number)  # as Ultralytics does, while workers load ahead
        taken.append([int(index) for index in batch])
    return list(chain.from_iterable(taken[-BATCHES:]))


def test_processes_divide_the_images_and_a_resumed_training_has_the_same_order():
    first, second = ([take_epoch(rank, first_seed=5, skipped=epoch) for rank in (0, 1)] for epoch in (0, 1))
    assert sorted(chain(*first)) == sorted(chain(*second)) == list(IMAGES)
    assert first != second
    assert second == [take_epoch(rank, first_seed=6, skipped=0) for rank in (0, 1)]
