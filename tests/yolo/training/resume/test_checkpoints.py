"""Checkpoints of a training in progress: damaged files, a full disk, two generations."""

from __future__ import annotations

import resource

import pytest
import torch

from pipeline.core.errors import UserError
from pipeline.yolo.training.resume.checkpoints import (
    has_checkpoint,
    load_newest_checkpoint,
    load_saved_weights,
    save_checkpoint,
    save_epoch_weights,
)
from tests.disks import mount_small_disk


def _state(epoch):
    return {"epoch": epoch, "model": {"weight": torch.arange(2000.0) + epoch}}


def test_newest_checkpoint_is_loaded_and_two_generations_are_kept(tmp_path):
    for epoch in range(1, 5):
        save_checkpoint(tmp_path, epoch, _state(epoch))
    assert has_checkpoint(tmp_path)
    assert load_newest_checkpoint(tmp_path)["epoch"] == 4
    assert [path.name[:6] for path in sorted(tmp_path.iterdir())] == ["000003", "000004"]


def test_empty_folder_has_no_checkpoint(tmp_path):
    assert load_newest_checkpoint(tmp_path) is None
    assert not has_checkpoint(tmp_path)


def _save_epochs(folder, count):
    """Save a generation after each epoch, which keeps the weights of all of them."""
    state = {"weights": {"last": {}}, "saved_epochs": {}}
    for epoch in range(count):
        weights = {"weight": torch.full((50_000,), float(epoch)).half()}
        state["saved_epochs"][f"epoch{epoch}"] = save_epoch_weights(folder, f"epoch{epoch}", weights)
        save_checkpoint(folder, epoch + 1, state)


def test_weights_of_saved_epochs_are_written_once_and_found_again(tmp_path):
    _save_epochs(tmp_path, 4)
    sizes = {path.name.partition("-")[0]: path.stat().st_size for path in tmp_path.iterdir()}
    large = {name for name, size in sizes.items() if size > 100_000}
    assert large == {f"epoch{number}" for number in range(4)}
    found = dict(load_saved_weights(tmp_path, load_newest_checkpoint(tmp_path)))
    assert [*found] == ["last", "epoch0", "epoch1", "epoch2", "epoch3"]
    assert [float(found[f"epoch{number}"]["weight"][0]) for number in range(4)] == [0, 1, 2, 3]


@pytest.mark.parametrize("lost", ["epoch3", "epoch0"])
@pytest.mark.parametrize("damage", [lambda path: path.unlink(), lambda path: path.write_bytes(b"half")])
def test_a_training_goes_on_without_saved_weights_that_are_lost(tmp_path, lost, damage):
    _save_epochs(tmp_path, 4)
    damage(next(tmp_path.glob(f"{lost}-*.ckpt")))
    found = load_newest_checkpoint(tmp_path)
    assert [*found["saved_epochs"]] == [f"epoch{number}" for number in range(4) if f"epoch{number}" != lost]
    assert len([*load_saved_weights(tmp_path, found)]) == 4


def test_a_checkpoint_that_was_just_written_stays_where_later_ones_are_damaged(tmp_path):
    """The training began again from its start, since both generations were damaged."""
    for epoch in (50, 51):
        save_checkpoint(tmp_path, epoch, _state(epoch))
    for path in tmp_path.iterdir():
        path.write_bytes(b"half")
    for epoch in (1, 2, 3):
        save_checkpoint(tmp_path, epoch, _state(epoch))
        assert load_newest_checkpoint(tmp_path)["epoch"] == epoch
    assert [path.name[:6] for path in sorted(tmp_path.iterdir())] == ["000002", "000003"]


@pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
def test_truncated_newest_checkpoint_falls_back_to_the_older_one(tmp_path, share):
    for epoch in (1, 2):
        save_checkpoint(tmp_path, epoch, _state(epoch))
    newest = max(tmp_path.iterdir())
    newest.write_bytes(newest.read_bytes()[: int(share * newest.stat().st_size)])
    assert load_newest_checkpoint(tmp_path)["epoch"] == 1


def test_checkpoint_with_flipped_bits_is_skipped(tmp_path):
    save_checkpoint(tmp_path, 1, _state(1))
    [path] = tmp_path.iterdir()
    contents = bytearray(path.read_bytes())
    contents[len(contents) // 2] ^= 1
    path.write_bytes(contents)
    assert load_newest_checkpoint(tmp_path) is None


def test_failed_write_leaves_both_generations(tmp_path):
    for epoch in (1, 2):
        save_checkpoint(tmp_path, epoch, _state(epoch))
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))  # as on a full disk
    try:
        with pytest.raises(UserError, match=r"could not be written .* run again"):
            save_checkpoint(tmp_path, 3, _state(3))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.fault(5, "a full disk")
def test_full_disk_is_named_and_leaves_both_generations(tmp_path):
    with mount_small_disk(tmp_path / "disk", kilobytes=64) as disk:
        for epoch in (1, 2):
            save_checkpoint(disk, epoch, _state(epoch))
        before = {path: path.read_bytes() for path in disk.iterdir()}
        large = _state(3) | {"more": torch.zeros(100_000)}
        with pytest.raises(UserError, match=rf"^the disk is full: {disk} has .* MB left.*last checkpoint"):
            save_checkpoint(disk, 3, large)
        assert {path: path.read_bytes() for path in disk.iterdir()} == before


def test_unfinished_and_foreign_files_are_ignored(tmp_path):
    save_checkpoint(tmp_path, 1, _state(1))
    (tmp_path / ".000002-00.ckpt.x7").write_bytes(b"half")
    (tmp_path / "000003-00.ckpt").write_bytes(b"by hand")
    assert load_newest_checkpoint(tmp_path)["epoch"] == 1
