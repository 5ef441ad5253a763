"""Checkpoints in progress: torn files, a full disk, two generations, contents that run no code."""

from __future__ import annotations

import resource

import pytest
import torch

from pipeline.core.errors import UserError
from pipeline.yolo.training import checkpoints


def _state(epoch):
    return {"epoch": epoch, "model": {"weight": torch.arange(2000.0) + epoch}}


def test_the_newest_is_read_and_two_generations_are_kept(tmp_path):
    for epoch in range(1, 5):
        checkpoints.save(tmp_path, epoch, _state(epoch))
    assert checkpoints.left(tmp_path)
    assert checkpoints.newest(tmp_path)["epoch"] == 4
    assert [path.name[:6] for path in sorted(tmp_path.iterdir())] == ["000003", "000004"]


def test_no_checkpoint_is_no_state(tmp_path):
    assert checkpoints.newest(tmp_path) is None
    assert not checkpoints.left(tmp_path)


@pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
def test_a_torn_newest_falls_back_to_the_generation_before(tmp_path, share):
    for epoch in (1, 2):
        checkpoints.save(tmp_path, epoch, _state(epoch))
    newest = max(tmp_path.iterdir())
    newest.write_bytes(newest.read_bytes()[: int(share * newest.stat().st_size)])
    assert checkpoints.newest(tmp_path)["epoch"] == 1


def test_flipped_bits_are_noticed(tmp_path):
    checkpoints.save(tmp_path, 1, _state(1))
    [path] = tmp_path.iterdir()
    contents = bytearray(path.read_bytes())
    contents[len(contents) // 2] ^= 1
    path.write_bytes(contents)
    assert checkpoints.newest(tmp_path) is None


def test_a_write_that_fails_leaves_both_generations(tmp_path):
    for epoch in (1, 2):
        checkpoints.save(tmp_path, epoch, _state(epoch))
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))  # as on a disk with no room for more
    try:
        with pytest.raises(UserError, match=r"could not be written .* run again"):
            checkpoints.save(tmp_path, 3, _state(3))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_what_a_killed_write_leaves_is_no_generation(tmp_path):
    checkpoints.save(tmp_path, 1, _state(1))
    (tmp_path / ".000002-00.ckpt.x7").write_bytes(b"half")
    (tmp_path / "000003-00.ckpt").write_bytes(b"by hand")
    assert checkpoints.newest(tmp_path)["epoch"] == 1
