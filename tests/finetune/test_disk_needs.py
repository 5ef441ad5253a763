"""Space for a training is checked before it starts."""

from __future__ import annotations

from contextlib import nullcontext
from types import SimpleNamespace

import pytest

from pipeline.core.errors import UserError
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
        weights.write_bytes(bytes(75_000))
        for keeping, is_enough in (((1, 0), False), ((9, 0), True), ((1, 1), True)):
            plain.save_period, plain.patience = keeping
            with nullcontext() if is_enough else pytest.raises(UserError, match="need at least"):
                require_space_for_training(folder, base=weights, prepared=prepared, finetune=plain)
        weights.write_bytes(bytes(90_000))
        plain.save_period, plain.average = -1, 2
        with pytest.raises(UserError, match=r"^the checkpoints need at least 0.3 MB"):
            require_space_for_training(folder, base=weights, prepared=prepared, finetune=plain)
