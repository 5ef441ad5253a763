"""Number of torch threads of a training and of a prediction on the CPU."""

from __future__ import annotations

import pytest
import torch
from ultralytics.utils import NUM_THREADS

from pipeline.runtime.worker_count import count_available_cores
from pipeline.yolo.training.train import build_trainer
from pipeline.yolo.ultralytics_environment import (
    THREADS_VARIABLE,
    remember_requested_threads,
    set_torch_threads,
)
from tests import trainings

ALL = count_available_cores(physical=True)


@pytest.fixture(autouse=True)
def _as_before(monkeypatch):
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)
    monkeypatch.undo()
    remember_requested_threads()


@pytest.mark.parametrize(
    ("requested", "expected"), [(None, ALL), ("1", 1), ("3", 3), ("", ALL), ("0", ALL), ("some", ALL)]
)
def test_threads_are_all_cores_or_as_many_as_the_environment_says(monkeypatch, requested, expected):
    if requested is None:
        monkeypatch.delenv(THREADS_VARIABLE, raising=False)
    else:
        monkeypatch.setenv(THREADS_VARIABLE, requested)
    remember_requested_threads()
    set_torch_threads()
    assert torch.get_num_threads() == expected


@pytest.mark.parametrize(("fast", "expected"), [(True, 3), ("gpu", 3), (False, NUM_THREADS)])
def test_training_uses_the_requested_threads_only_with_fast(tmp_path, monkeypatch, fast, expected):
    monkeypatch.setenv(THREADS_VARIABLE, "3")
    remember_requested_threads()
    trainings.dataset(tmp_path)
    build_trainer(trainings.job(tmp_path, fast=fast))
    assert torch.get_num_threads() == expected
