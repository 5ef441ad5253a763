"""Errors of the machine are described by one sentence; errors of the code are not."""

from __future__ import annotations

import errno
import os
import resource
import shlex
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from pipeline.core.machine_errors import describe_machine_error, is_disk_full
from tests.disks import filled_disk, mount_small_disk

ROOT = Path(__file__).parents[2]
LIMITED = """
from pipeline.core.machine_errors import describe_machine_error
try:
    {code}
except BaseException as error:
    print(describe_machine_error(error))
"""


@pytest.fixture(scope="module")
def disk(tmp_path_factory):
    with mount_small_disk(tmp_path_factory.mktemp("disk"), kilobytes=512) as folder:
        yield folder


def catch(action):
    with pytest.raises(BaseException) as caught:  # noqa: PT011 - its kind is what is described
        action()
    return caught.value


@pytest.mark.fault(13, "a full disk")
def test_full_disk_is_named_with_the_space_left(disk, monkeypatch):
    monkeypatch.chdir(disk)
    error = catch(lambda: (disk / "data").write_bytes(bytes(1 << 20)))
    assert error.filename is None  # those of `write` name no file
    sentence = describe_machine_error(error)
    assert sentence.startswith(f"the disk is full: {disk} has 0.0 MB left")
    (disk / "data").unlink()
    assert is_disk_full(error)


@pytest.mark.fault(13, "a full disk")
def test_full_disk_of_a_database_is_recognized(disk, monkeypatch):
    monkeypatch.chdir(disk)

    def fill():
        with sqlite3.connect(disk / "a.db") as database:
            database.execute("CREATE TABLE t (x BLOB)")
            database.execute("INSERT INTO t VALUES (?)", (bytes(1 << 20),))

    error = catch(fill)
    assert isinstance(error, sqlite3.OperationalError)
    assert str(disk) in describe_machine_error(error)


def test_cause_of_another_error_is_described(disk, monkeypatch):
    monkeypatch.chdir(disk)

    def fail():
        try:
            with filled_disk(disk, left=0):
                (disk / "more").write_bytes(b"a")
        except OSError as error:
            raise ValueError("not saved") from error

    assert describe_machine_error(catch(fail)).startswith("the disk is full")


@pytest.mark.parametrize("number", [errno.ESTALE, errno.ENOTCONN, errno.EHOSTDOWN, errno.ETIMEDOUT])
def test_a_file_on_a_network_disk_that_is_away_is_named(number):
    error = OSError(number, os.strerror(number), "/mnt/images")
    assert describe_machine_error(error).startswith("/mnt/images cannot be reached, since its network disk")
    assert describe_machine_error(OSError(number, os.strerror(number))) is None  # of a connection


def run_limited(code: str, **limits: int) -> str:
    """Run code in a process with lower limits; return the sentence about the error that it raises."""

    def lower():
        for name, value in limits.items():
            resource.setrlimit(getattr(resource, name), (value, value))

    done = subprocess.run(
        [sys.executable, "-c", LIMITED.format(code=code)],
        cwd=ROOT,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
        preexec_fn=lower,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout + done.stderr


@pytest.mark.fault(13, "limits of memory, threads, files (ulimit)")
@pytest.mark.parametrize(
    ("code", "limits", "start"),
    [
        ("bytes(10 ** 9)", {"RLIMIT_AS": 300 << 20}, "the memory is not enough"),
        ("import mmap; mmap.mmap(-1, 10 ** 9)", {"RLIMIT_AS": 300 << 20}, "the memory is not enough"),
        ("import torch", {"RLIMIT_AS": 400 << 20}, "the memory is not enough"),
        ("import threading as t, time; [t.Thread(target=time.sleep, args=(1,)).start() for _ in range(999)]",
         {"RLIMIT_AS": 300 << 20}, "no more threads or processes can be started"),
        ("opened = [open('/dev/null') for _ in range(99)]", {"RLIMIT_NOFILE": 20}, "too many files are open"),
        ("import tempfile; tempfile.TemporaryFile().write(bytes(99999))",
         {"RLIMIT_FSIZE": 100}, "a file is larger than"),
    ],
)  # fmt: skip
def test_limits_of_a_process_are_named(code, limits, start):
    assert run_limited(code, **limits).startswith(start)


def test_opencv_without_memory_is_described():
    def fail():
        raise cv2.error("OpenCV(4.10.0) error: (-4:Insufficient memory) Failed to allocate 9 bytes")

    assert describe_machine_error(catch(fail)).startswith("the memory is not enough")
    assert describe_machine_error(catch(lambda: np.zeros(1 << 50))).startswith("the memory is not enough")


@pytest.mark.parametrize(
    "text",
    [
        "unable to open shared memory object </torch_1_2_3> in read-write mode: Read-only file system (30)",
        "unable to allocate shared memory(shm) for file </torch_1_2_3>: No space left on device (28)",
        "DataLoader worker (pid 7) is killed by signal: Bus error. It is possible that dataloader",
    ],
)
def test_shared_memory_of_the_loader_is_named(text):
    assert describe_machine_error(RuntimeError(text)).startswith("the shared memory in /dev/shm")


@pytest.mark.fault(13, "/dev/shm read-only or full")
@pytest.mark.parametrize("options", ["ro", "size=4k"])
def test_shared_memory_without_space_is_not_called_a_full_disk(options):
    """The semaphores of a loader's processes raise an error that names no file."""
    if os.geteuid() != 0 or not shutil.which("unshare"):
        pytest.skip("only root can give a process another /dev/shm, with unshare of Linux")
    script = LIMITED.format(code="import multiprocessing as m; kept = [m.Lock() for _ in range(99)]")
    mount = f"mount -t tmpfs -o {options} none /dev/shm && exec {shlex.join([sys.executable, '-c', script])}"
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", mount], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if "mount" in done.stderr:
        pytest.skip(f"no other /dev/shm can be mounted here: {done.stderr}")
    assert done.stdout.startswith("the shared memory in /dev/shm"), done.stderr


def test_file_that_cannot_be_written_is_named():
    error = OSError(errno.EROFS, "Read-only file system", "/mnt/data/a.txt")
    assert describe_machine_error(error).startswith("/mnt/data/a.txt cannot be written")


def test_faults_of_the_code_have_no_sentence():
    for error in (KeyError("a"), ValueError("b"), RuntimeError("c"), FileNotFoundError(2, "absent", "d")):
        assert describe_machine_error(error) is None
