"""The database of known hashes on a full disk; the fingerprints themselves are tested with compose."""

from __future__ import annotations

import pytest

from pipeline.core.errors import UserError
from pipeline.storage.fingerprint import fingerprint_source
from tests.disks import filled_disk, mount_small_disk


@pytest.mark.fault(13, "a full disk")
def test_full_disk_is_named_and_the_fingerprint_is_the_same_with_space(tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    for number in range(3):
        (source / f"{number}.txt").write_text(str(number))
    expected = fingerprint_source(source, cache=tmp_path / "hashes.db")
    with mount_small_disk(tmp_path / "disk", kilobytes=100) as disk:
        for left in (0, 4096):
            with (
                filled_disk(disk, left=left),
                pytest.raises(UserError, match=rf"^the disk is full: {disk} has .* MB left"),
            ):
                fingerprint_source(source, cache=disk / "hashes.db")
        assert fingerprint_source(source, cache=disk / "hashes.db") == expected
