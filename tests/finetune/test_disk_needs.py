"""Space for a training is checked before it starts."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from pipeline.core.errors import UserError
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
        folder = disk / "checkpoints/a"
        require_space_for_training(folder, base=weights, prepared=prepared, finetune=plain)
        require_space_for_training(folder, base=None, prepared=prepared, finetune=decoding)
        assert decoded + 100_000 > 200_000
        with pytest.raises(UserError, match=r"\(finetune.cache=disk\) need at least 0.3 MB"):
            require_space_for_training(folder, base=weights, prepared=prepared, finetune=decoding)
        weights.write_bytes(bytes(200_000))
        with pytest.raises(UserError, match=r"^the checkpoints need at least 0.4 MB"):
            require_space_for_training(folder, base=weights, prepared=prepared, finetune=plain)
        weights.write_bytes(bytes(90_000))
        require_space_for_training(folder, base=weights, prepared=prepared, finetune=plain)
        plain.average = 2
        with pytest.raises(UserError, match=r"^the checkpoints need at least 0.3 MB"):
            require_space_for_training(folder, base=weights, prepared=prepared, finetune=plain)


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
    disk_needs.require_space_for_training(tmp_path, base=weights, prepared=None, finetune=settings)
    assert asked == [2000 + 500 * saved]
