"""Long work is refused before it starts where the disk surely has too little space."""

from __future__ import annotations

import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest

from pipeline.core.errors import UserError
from pipeline.storage.disk_space import has_space, measure_copies, require_space
from tests.disks import mount_small_disk


@pytest.fixture(scope="module")
def disk(tmp_path_factory):
    with mount_small_disk(tmp_path_factory.mktemp("disk"), kilobytes=1000) as folder:
        yield folder


def test_work_that_fits_is_not_refused(disk):
    require_space(disk / "data/augmented", 900_000, what="the copies")
    assert has_space(disk, 900_000)
    assert not has_space(disk, 1_100_000)


@pytest.mark.fault(13, "disk too small for the work, before it")
def test_work_that_does_not_fit_is_refused_with_both_sizes(disk):
    with pytest.raises(UserError, match=r"^the copies need at least 2\.5 GB, .*/data/augmented has 1\.0 MB"):
        require_space(disk / "data/augmented", 2.5e9, what="the copies")


@pytest.mark.parametrize(
    ("blocks", "user", "fits"),
    [((0, 0, 0), 1000, True), ((90, 9, 4), 0, True), ((90, 9, 4), 1000, False), ((90, 4, 4), 0, False)],
)
def test_work_is_not_refused_where_a_disk_states_no_size_or_keeps_space_for_root(
    monkeypatch, tmp_path, blocks, user, fits
):
    total, free, available = blocks
    disk = SimpleNamespace(f_blocks=total, f_bfree=free, f_bavail=available, f_frsize=4096)
    monkeypatch.setattr("os.statvfs", lambda _: disk)
    monkeypatch.setattr("os.geteuid", lambda: user)
    assert has_space(tmp_path, 8 * 4096) == fits


def test_copies_to_another_disk_take_their_length(disk, tmp_path):
    (tmp_path / "a.jpg").write_bytes(bytes(300))
    assert measure_copies([(str(tmp_path / "a.jpg"), 300)] * 2, disk) == 600
    assert measure_copies([], disk) == 0
    assert list(disk.iterdir()) == []


def test_copies_that_share_blocks_take_none(tmp_path):
    disk = tmp_path / "btrfs"
    disk.mkdir()
    image = tmp_path / "image"
    with image.open("wb") as file:
        file.truncate(320 << 20)
    for command in (["mkfs.xfs", "-q", str(image)], ["mount", "-o", "loop", str(image), str(disk)]):
        try:
            subprocess.run(command, check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError):
            pytest.skip("no file system whose files share blocks can be mounted here")
    try:
        (disk / "a.jpg").write_bytes(bytes(5000))
        assert measure_copies([(str(disk / "a.jpg"), 5000)], Path(disk)) == 0
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)
