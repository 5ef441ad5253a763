"""Small disks of memory for tests of full disks; where they cannot be mounted, the tests are skipped."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def mount_small_disk(folder: Path, *, kilobytes: int) -> Iterator[Path]:
    """Mount an empty disk of the given size at `folder` (Linux, as root)."""
    folder.mkdir(parents=True, exist_ok=True)
    if os.name != "posix" or os.geteuid() != 0 or not shutil.which("mount"):
        pytest.skip("a small disk (tmpfs) can be mounted by root on Linux alone")
    command = ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "none", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"a small disk cannot be mounted here: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@contextmanager
def read_only_disk(disk: Path) -> Iterator[None]:
    """Let nobody write to a disk of `mount_small_disk`, root neither."""
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    try:
        yield
    finally:
        subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)


@contextmanager
def filled_disk(disk: Path, *, left: int) -> Iterator[None]:
    """Fill a disk with a file until `left` bytes remain; remove the file afterwards."""
    filler = disk / "filler"
    with filler.open("wb") as file:
        remaining = shutil.disk_usage(disk).free - left
        while remaining > 0:
            remaining -= file.write(bytes(min(remaining, 1 << 20)))
    try:
        yield
    finally:
        filler.unlink(missing_ok=True)
