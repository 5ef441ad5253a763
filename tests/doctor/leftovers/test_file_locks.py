"""Who holds a lock, asked without taking it: the holders are other processes."""

import os
import subprocess
import sys
import time
from contextlib import contextmanager

import pytest

from pipeline.doctor.leftovers.file_locks import (
    find_lock_holder,
    hold_free_lock,
    is_on_network_disk,
    is_record_locked,
)

HOLD = """
import fcntl, sys, time
file = open(sys.argv[1], "r+")
getattr(fcntl, sys.argv[2])(file, fcntl.LOCK_EX)
print("held", flush=True)
time.sleep(60)
"""


@contextmanager
def held(path, kind):
    path.touch()
    command = [sys.executable, "-S", "-c", HOLD, str(path), kind]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        try:
            yield process.pid
        finally:
            process.kill()


@pytest.mark.parametrize("kind", ["flock", "lockf"])
def test_the_holder_of_a_lock_is_named_until_it_ends(tmp_path, kind):
    path = tmp_path / "lock"
    with held(path, kind) as pid:
        assert find_lock_holder(path) == pid
        assert is_record_locked(path) == (kind == "lockf")
    assert find_lock_holder(path) is None
    assert not is_record_locked(path)


def test_a_free_lock_is_held_and_released(tmp_path):
    path = tmp_path / "lock"
    with hold_free_lock(path) as free:
        assert free
        assert not path.exists()
    with held(path, "flock"), hold_free_lock(path) as free:
        assert not free
    for _ in range(100):  # until the kernel has ended the process
        with hold_free_lock(path) as free:
            if free:
                return
        time.sleep(0.05)
    raise AssertionError("still held")


@pytest.mark.timeout(20)
def test_a_named_pipe_that_nobody_writes_to_is_free(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with hold_free_lock(tmp_path / "pipe") as free:
        assert free


def test_this_disk_is_not_shared(tmp_path):
    assert not is_on_network_disk(tmp_path)
