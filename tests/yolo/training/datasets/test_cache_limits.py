"""Decoded images are kept where this process has the memory, or the disk, for them; the record says where."""

from __future__ import annotations

import shutil
from types import SimpleNamespace

import pytest

from pipeline.runtime.memory import read_available_memory
from pipeline.yolo.training.datasets import cache_limits
from pipeline.yolo.training.train import build_trainer
from tests import trainings

IMAGES = {"train": 8 * 64 * 64 * 3, "val": 4 * 64 * 64 * 3}
"""Bytes of the decoded images of a tiny dataset."""


def _build_datasets(root, *, task, cache):
    trainings.dataset(root, task=task)
    return _build_datasets_again(root, task=task, cache=cache)


def _build_datasets_again(root, *, task, cache):
    trainer = build_trainer(trainings.job(root, task=task, cache=cache, epochs=1))
    folders = {split: [str(root / f"data/prepared/images/{split}")] for split in IMAGES}
    return [trainer.build_dataset(folders[split], split, 4) for split in IMAGES]


@pytest.mark.parametrize("task", ["detect", "classify"])
def test_images_stay_in_memory_up_to_half_of_what_a_container_has_left(tmp_path, monkeypatch, caplog, task):
    """The machine has more; 8 train images fit, and then no val images any more."""
    control = tmp_path / "control"
    control.mkdir()
    free = iter([2 * IMAGES["train"], 2 * IMAGES["val"] - 1])

    def read():
        (control / "memory.max").write_text(str(10**6 + next(free)))
        (control / "memory.current").write_text(str(10**6))
        (control / "memory.stat").write_text("inactive_file 0\n")
        return read_available_memory(control)

    monkeypatch.setattr(cache_limits, "read_available_memory", read)
    with caplog.at_level("WARNING", "ultralytics"):
        train, val = _build_datasets(tmp_path, task=task, cache="ram")
    assert (train.cache, val.cache) == ("ram", None)
    assert ["val: " in line for line in caplog.messages if "GB" in line] == [True]


def test_the_disk_that_counts_is_the_one_of_the_decoded_images(tmp_path, monkeypatch):
    asked = []

    def measure(path):
        asked.append(path)
        return SimpleNamespace(free=IMAGES["train"] * 1.1)

    monkeypatch.setattr(cache_limits, "shutil", SimpleNamespace(disk_usage=measure))
    _build_datasets(tmp_path, task="detect", cache="disk")
    assert asked == [tmp_path / f"checkpoints/ultralytics/images/{split}" for split in IMAGES]


def test_decoded_images_of_classify_need_the_disk_of_both_splits(tmp_path, monkeypatch, caplog):
    """They are stored during the first epoch: the disk of val images must be free beside that of train."""
    free = [1.1 * sum(IMAGES.values()), 1.1 * sum(IMAGES.values()) - 1000, 1.1 * IMAGES["train"] - 1000]
    for bytes_left, caches in zip(free, [("disk", "disk"), ("disk", None), (None, "disk")], strict=True):
        usage = SimpleNamespace(free=bytes_left)
        monkeypatch.setattr(cache_limits, "shutil", SimpleNamespace(disk_usage=lambda _, usage=usage: usage))
        root = tmp_path / str(bytes_left)
        caplog.clear()
        with caplog.at_level("WARNING", "ultralytics"):
            found = _build_datasets(root, task="classify", cache="disk")
        assert tuple(each.cache for each in found) == caches
        assert sum("do not fit onto the disk" in line for line in caplog.messages) == caches.count(None)
        for dataset in found:
            assert dataset[0]["img"].shape == (3, 64, 64)
            assert len(list(dataset.samples[0][2].parent.iterdir())) == (dataset.cache == "disk")


def test_images_of_classify_stored_by_an_earlier_session_need_no_more_disk(tmp_path, monkeypatch):
    for dataset in _build_datasets(tmp_path, task="classify", cache="disk"):
        assert all(dataset[index]["img"].shape == (3, 64, 64) for index in range(len(dataset)))
    monkeypatch.setattr(cache_limits, "shutil", SimpleNamespace(disk_usage=lambda _: SimpleNamespace(free=0)))
    again = _build_datasets_again(tmp_path, task="classify", cache="disk")
    assert [each.cache for each in again] == ["disk", "disk"]


def test_images_decoded_by_an_earlier_session_need_no_more_disk(tmp_path, monkeypatch):
    first = _build_datasets(tmp_path, task="detect", cache="disk")
    monkeypatch.setattr(cache_limits, "shutil", SimpleNamespace(disk_usage=lambda _: SimpleNamespace(free=0)))
    shutil.rmtree(tmp_path / "data")
    again = _build_datasets(tmp_path, task="detect", cache="disk")
    assert [each.cache for each in (*first, *again)] == ["disk"] * 4


def test_classify_releases_the_memory_of_its_images_and_reads_them_again_if_asked(tmp_path):
    train, _ = _build_datasets(tmp_path, task="classify", cache="ram")
    before = train.img_cache.buffer.nbytes
    train.release_images()
    assert (before > 0, hasattr(train, "img_cache"), train.cache) == (True, False, "ram")
    assert train[0]["img"].shape == (3, 64, 64)


@pytest.mark.parametrize(("asked", "used"), [("ram", "ram"), ("disk", "disk"), (False, "none")])
def test_the_record_of_classify_says_where_images_are_kept(tmp_path, asked, used):
    trainings.dataset(tmp_path, task="classify")
    outcome = trainings.run(trainings.job(tmp_path, task="classify", cache=asked, epochs=1))
    assert outcome.effective["cache"] == used
