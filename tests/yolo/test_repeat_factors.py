"""Repeat-factor sampling: how often images of rare classes are seen, in which order, by which process."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch
import yaml
from torch.utils.data import BatchSampler

from pipeline.yolo.distributed.group_member import GroupMember
from pipeline.yolo.gpu_loader.loader import GpuLoader
from pipeline.yolo.repeat_factors import (
    RepeatFactorSampler,
    SharedRepeatFactorSampler,
    compute_repeat_factors,
    draw_repeats,
)
from pipeline.yolo.training.sample_seeds import EpochBatches, EpochIndex
from pipeline.yolo.training.train import build_trainer
from tests import trainings

ONLINE = yaml.safe_load((trainings.CONF / "augment/offline.yaml").read_text())["online"]

FACTORS = np.array([1.0, 1.0, 2.5, 1.25, 3.0, 1.0])


def _generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _classes(*images: tuple[int, ...]) -> list[np.ndarray]:
    return [np.array(image, np.int64) for image in images]


@pytest.mark.parametrize(
    ("images", "threshold", "expected"),
    [
        ([(0,), (0,), (0,), (0, 2)], 1.0, [1, 1, 1, 2]),  # class 2 is in a quarter of the images
        ([(0,), (0, 0), (1,), ()], 0.25, [1, 1, 1, 1]),  # no class is rarer than the threshold
        ([(0, 0), (1,), (), ()], 1.0, [2, 2, 1, 1]),  # two objects in one image are one image; background
        ([(), ()], 0.5, [1, 1]),
        ([], 0.5, []),
    ],
)
def test_factor_is_that_of_the_rarest_class_of_an_image(images, threshold, expected):
    assert compute_repeat_factors(_classes(*images), threshold).tolist() == expected


def test_each_epoch_has_as_many_samples_and_shows_each_image():
    total = round(FACTORS.sum())
    counts = np.array([draw_repeats(FACTORS, total, _generator(seed)) for seed in range(2000)])
    assert set(counts.sum(axis=1)) == {total}
    assert (counts >= np.floor(FACTORS)).all()
    assert (counts <= np.ceil(FACTORS)).all()
    rest = (total - np.floor(FACTORS).sum()) / (FACTORS % 1).sum()  # the sum is a whole number of samples
    assert counts.mean(axis=0) == pytest.approx(np.floor(FACTORS) + rest * (FACTORS % 1), abs=0.05)


def test_an_epoch_is_decided_by_its_seed_and_counts_the_samples_of_an_image():
    sampler = RepeatFactorSampler(FACTORS, _generator())
    drawn, other = sampler.draw_epoch(_generator(1)), sampler.draw_epoch(_generator(2))
    assert drawn == sampler.draw_epoch(_generator(1))
    assert drawn != other
    assert len(drawn) == len(sampler) == len(other)
    assert len({(int(index), index.repeat) for index in drawn}) == len(drawn)
    assert sorted(index.repeat for index in drawn if index == 4) == [0, 1, 2]


@pytest.mark.parametrize("size", [2, 3, 4])
def test_processes_share_an_epoch(size):
    parts = []
    for rank in range(size):
        sampler = SharedRepeatFactorSampler(FACTORS, GroupMember(rank=rank, size=size))
        sampler.set_epoch(7)
        part = list(sampler)
        assert len(part) == len(sampler)
        parts += [(int(index), index.repeat) for index in part]
    whole = RepeatFactorSampler(FACTORS, _generator()).draw_epoch(_generator(7))
    assert {*parts} == {(int(index), index.repeat) for index in whole}
    assert len(parts) - len(whole) < size  # the last samples of all processes are as many


def test_worker_processes_get_a_seed_for_each_sample_of_an_image():
    sampler = RepeatFactorSampler(np.array([3.0, 1.0]), _generator())
    batches = EpochBatches(BatchSampler(sampler, 4, drop_last=False), sampler.generator, lambda: 5)
    [*indices] = pickle.loads(pickle.dumps(next(iter(batches))))
    assert all(isinstance(index, EpochIndex) and index.seed == 5 for index in indices)
    assert sorted((int(index), index.repeat) for index in indices) == [(0, 0), (0, 1), (0, 2), (1, 0)]


@pytest.mark.parametrize(
    "task",
    [
        "classify",
        pytest.param("detect", marks=pytest.mark.slow),
        pytest.param("pose", marks=pytest.mark.slow),
    ],
)
def test_training_records_its_samples_per_epoch(tmp_path, task):
    trainings.dataset(tmp_path, task=task)
    seen = []
    job = trainings.job(tmp_path, task=task, epochs=1, repeat_rare=1.0)
    result = trainings.run(job, on_epoch=seen.append)
    assert result.effective["samples_per_epoch"] > 8
    assert len(seen) == 1


@pytest.mark.slow
def test_features_of_frozen_layers_are_reused_for_each_sample_of_an_image(tmp_path):
    found = {}
    for fast in (True, False):
        trainings.dataset(tmp_path / str(fast), train=6, val=2)
        job = trainings.job(
            tmp_path / str(fast),
            freeze="backbone",
            workers=0,
            epochs=3,
            fast=fast,
            repeat_rare=1.0,
            **ONLINE,
        )
        found[fast] = trainings.run(job)
    assert found[True].effective["frozen_features"].startswith("memory ")
    assert found[True].effective["samples_per_epoch"] > 6
    assert found[True].weights["last"] == found[False].weights["last"]


@pytest.mark.slow
def test_the_gpu_loader_repeats_images_too(tmp_path):
    trainings.dataset(tmp_path)
    trainer = build_trainer(trainings.job(tmp_path, fast="gpu", repeat_rare=1.0, batch=4))
    trainer.gpu_loader_devices = frozenset({"cpu"})
    trainer._setup_train()
    files = [file for batch in trainer.train_loader for file in batch["im_file"]]
    assert isinstance(trainer.train_loader, GpuLoader)
    assert len(files) == len(trainer.train_loader.sampler) > len(set(files)) == 8
