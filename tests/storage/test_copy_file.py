"""Copy a file that must not have changed, with the kernel's copy or without it."""

import errno
import os
from io import FileIO

import numpy as np
import pytest

from pipeline.core.errors import UserError
from pipeline.storage.copy_file import copy_unchanged_file
from pipeline.storage.files import name_failed_path
from pipeline.storage.fingerprint import build_file_stamp


@pytest.mark.parametrize("support", ["kernel", "none", "partial"])
@pytest.mark.fault(11, "a file changes between check and copy")
def test_copy_is_complete_and_a_changed_file_is_refused(tmp_path, monkeypatch, support):
    source = tmp_path / "a"
    source.write_bytes(np.random.default_rng(0).bytes(300_000))
    copy_file_range, calls = os.copy_file_range, []

    def copy_range(read, write, count):
        calls.append(count)
        if support == "none" or (support == "partial" and len(calls) > 1):
            raise OSError(18, "other device")
        return copy_file_range(read, write, count if support == "kernel" else 1000)

    monkeypatch.setattr(os, "copy_file_range", copy_range)
    stamp = build_file_stamp(source, source.stat())
    copy_unchanged_file(stamp, str(tmp_path / "b"))
    assert (tmp_path / "b").read_bytes() == source.read_bytes()
    source.write_bytes(b"x")
    with pytest.raises(UserError, match="changed"):
        copy_unchanged_file(stamp, str(tmp_path / "c"))
    source.unlink()
    with pytest.raises(UserError, match="changed"):
        copy_unchanged_file(stamp, str(tmp_path / "d"))


def test_an_error_while_reading_names_the_source_and_not_the_copy(tmp_path, monkeypatch):
    class BrokenFile(FileIO):
        def read(self, _=-1):
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    def refuse(*_: object):
        raise OSError(errno.EXDEV, "other device")

    (tmp_path / "a").write_bytes(b"x")
    monkeypatch.setattr(os, "copy_file_range", refuse)
    monkeypatch.setattr("pipeline.storage.copy_file.FileIO", BrokenFile)
    stamp = build_file_stamp(tmp_path / "a", (tmp_path / "a").stat())
    with pytest.raises(OSError, match="Input/output") as caught, name_failed_path(tmp_path / "prepared"):
        copy_unchanged_file(stamp, str(tmp_path / "b"))
    assert caught.value.filename == str(tmp_path / "a")
