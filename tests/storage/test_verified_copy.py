"""Temporary copies of weights do not stay."""

from __future__ import annotations

import os

from pipeline.storage.scratch_folder import create_scratch_folder
from pipeline.storage.verified_copy import temporary_copy


def test_copies_that_killed_processes_left_are_deleted_and_those_of_living_ones_stay(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    (tmp_path / "a.pt").write_bytes(b"x")
    left, living = (create_scratch_folder("weights", name) for name in ("loading-1", "loading-2"))
    (left / "weights.pt").write_bytes(b"x")
    os.utime(left, (0, 0))
    with temporary_copy(tmp_path / "a.pt") as copy:
        assert (tmp_path / copy).read_bytes() == b"x"
        assert not left.exists()
    assert [*living.parent.iterdir()] == [living]
