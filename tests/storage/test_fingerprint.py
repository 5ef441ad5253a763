"""The database of known hashes on a full disk; the fingerprints themselves are tested with compose."""

from __future__ import annotations

import hashlib
import os

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


class FolderEntries(list):
    """What `os.scandir` returns, in a given order."""

    def __next__(self) -> os.DirEntry[str]:
        if not self:
            raise StopIteration
        return self.pop(0)

    def __enter__(self) -> FolderEntries:
        return self

    def __exit__(self, *_: object) -> None:
        self.clear()


@pytest.mark.parametrize("names", [("a", "b", "c"), ("c", "b", "a"), ("b", "c", "a")])
def test_links_to_one_folder_give_the_same_fingerprint_in_any_order_of_the_disk(tmp_path, monkeypatch, names):
    """A disk lists the entries of a folder in any order, as that in which they were made."""
    source = tmp_path / "source"
    (tmp_path / "images").mkdir()
    (tmp_path / "images/1.jpg").write_bytes(b"1")
    source.mkdir()
    for name in "abc":
        (source / name).symlink_to(tmp_path / "images")
    scan = os.scandir

    def scan_in_order(path):
        with scan(path) as entries:
            found = {entry.name: entry for entry in entries}
        ordered = [found[name] for name in names] if names[0] in found else list(found.values())
        return FolderEntries(ordered)

    expected = hashlib.sha256(f"a/1.jpg\0{hashlib.sha256(b'1').hexdigest()}\n".encode()).hexdigest()
    monkeypatch.setattr(os, "scandir", scan_in_order)
    assert fingerprint_source(source, cache=tmp_path / "hashes.db") == expected
