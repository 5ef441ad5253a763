"""Space for a training is checked before it starts."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import pytest

from pipeline.core.errors import UserError
from pipeline.dataset.augmentation_records import AugmentationRecords, AugmentedImage
from pipeline.finetune import disk_needs
from pipeline.finetune.disk_needs import require_space_for_training
from tests.builders import prepared_dataset
from tests.disks import mount_small_disk


@pytest.mark.fault(5, "a disk too small for the checkpoints")
def test_disk_too_small_for_checkpoints_or_decoded_images_is_refused(tmp_path):
    prepared = prepared_dataset(tmp_path / "prepared", images={"train": 4, "val": 2, "test": 9}, pixels=96)
    weights = tmp_path / "base.pt"
    weights.write_bytes(bytes(50_000))
    decoded = 6 * 96 * 96 * 3
    decoding = SimpleNamespace(cache="disk", average=0, epochs=9, save_period=-1, patience=0, time=None)
    plain = SimpleNamespace(**{**vars(decoding), "cache": "ram"})
    with mount_small_disk(tmp_path / "disk", kilobytes=200) as disk:
        known = {"prepared": prepared, "augmented": AugmentationRecords(prepared.digest, ())}
        require = partial(require_space_for_training, disk / "checkpoints/a", **known)
        require(base=weights, finetune=plain)
        require(base=None, finetune=decoding)
        assert decoded + 100_000 > 200_000
        with pytest.raises(UserError, match=r"\(finetune.cache=disk\) need at least 0.3 MB"):
            require(base=weights, finetune=decoding)
        weights.write_bytes(bytes(200_000))
        with pytest.raises(UserError, match=r"^the checkpoints need at least 0.4 MB"):
            require(base=weights, finetune=plain)
        weights.write_bytes(bytes(90_000))
        require(base=weights, finetune=plain)
        plain.average = 2
        with pytest.raises(UserError, match=r"^the checkpoints need at least 0.3 MB"):
            require(base=weights, finetune=plain)


def test_decoded_copies_need_the_disk_like_their_sources(tmp_path):
    prepared = prepared_dataset(tmp_path / "prepared", images={"train": 4, "val": 2}, pixels=96)
    copy = AugmentedImage("train/a_a1.png", prepared.items[0].file, 0, {}, (), 0, "", "")
    copies = (copy, replace(copy, file="train/a_a2.png"))
    decoding = SimpleNamespace(cache="disk", average=0, epochs=9, save_period=-1, patience=0, time=None)
    with mount_small_disk(tmp_path / "disk", kilobytes=200) as disk:
        require = partial(require_space_for_training, disk / "a", base=None, prepared=prepared)
        require(augmented=AugmentationRecords(prepared.digest, ()), finetune=decoding)
        with pytest.raises(UserError, match=r"\(finetune.cache=disk\) need at least 0.2 MB"):
            require(augmented=AugmentationRecords(prepared.digest, copies), finetune=decoding)


@pytest.mark.parametrize(
    ("changes", "saved"),
    [
        ({}, 9),
        ({"save_period": 4}, 3),
        ({"save_period": -1}, 0),
        ({"patience": 2}, 2),
        ({"patience": 10, "epochs": "auto"}, 1),
        ({"time": 0.5}, 1),
    ],
)
def test_epochs_that_are_saved_need_space(tmp_path, monkeypatch, changes, saved):
    asked = []
    monkeypatch.setattr(disk_needs, "require_space", lambda _folder, needed, **_: asked.append(needed))
    weights = tmp_path / "base.pt"
    weights.write_bytes(bytes(1000))
    kept = {"save_period": 1, "patience": 0, "epochs": 9, "average": 0, "time": None, "cache": "ram"}
    settings = SimpleNamespace(**kept | changes)
    disk_needs.require_space_for_training(
        tmp_path, base=weights, prepared=None, augmented=None, finetune=settings
    )
    assert asked == [2000 + 500 * saved]
