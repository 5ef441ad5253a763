"""Trainings with different seeds share no epoch: their spread would not be that of independent ones."""

from __future__ import annotations

import numpy as np

from pipeline.yolo.training.resume.state import RANK_STRIDE, compute_epoch_seed


def test_no_two_seeds_share_an_epoch():
    first = np.sort([compute_epoch_seed(seed, 0) for seed in range(1000)])
    assert np.diff(first).min() > 100_000  # epochs
    few = np.sort([compute_epoch_seed(seed, 0) for seed in range(50)])
    assert np.diff(few).min() > 16 * RANK_STRIDE  # processes
    assert compute_epoch_seed(7, 12) == compute_epoch_seed(7, 0) + 12


def test_seeds_of_the_largest_seed_are_numbers_that_all_generators_take():
    assert 0 < compute_epoch_seed(2**32 - 1, 100_000) < 2**33
