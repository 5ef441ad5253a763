"""How many cores a training and a prediction on the processor take."""

from __future__ import annotations

import joblib
import pytest
import torch
from ultralytics.utils import NUM_THREADS

from pipeline.yolo.environment import ASKED, remember_requested_threads, set_torch_threads
from pipeline.yolo.training import train
from tests import trainings

ALL = joblib.cpu_count(only_physical_cores=True)


@pytest.fixture(autouse=True)
def _as_before(monkeypatch):
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)
    monkeypatch.undo()
    remember_requested_threads()


@pytest.mark.parametrize(
    ("asked", "expected"), [(None, ALL), ("1", 1), ("3", 3), ("", ALL), ("0", ALL), ("some", ALL)]
)
def test_all_cores_unless_the_environment_says_otherwise(monkeypatch, asked, expected):
    if asked is None:
        monkeypatch.delenv(ASKED, raising=False)
    else:
        monkeypatch.setenv(ASKED, asked)
    remember_requested_threads()
    set_torch_threads()
    assert torch.get_num_threads() == expected


@pytest.mark.parametrize(("fast", "expected"), [(True, 3), (False, NUM_THREADS)])
def test_a_training_takes_them_where_it_is_fast(tmp_path, monkeypatch, fast, expected):
    monkeypatch.setenv(ASKED, "3")
    remember_requested_threads()
    trainings.dataset(tmp_path)
    train.build(trainings.job(tmp_path, fast=fast))
    assert torch.get_num_threads() == expected
