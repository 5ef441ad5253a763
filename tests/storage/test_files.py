"""One writer per output: after `dvc` is killed its stage still runs, and a second one must not start."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline.core.errors import UserError
from pipeline.core.machine_errors import describe_machine_error
from pipeline.storage.files import hold_writer_lock, write_folder
from tests.disks import mount_small_disk

ROOT = Path(__file__).parents[2]


@pytest.fixture
def running_prepare(tmp_path):
    """A prepare that is suspended in the middle of its work."""
    shutil.copy(ROOT / "params.yaml", tmp_path)
    process = subprocess.Popen([sys.executable, "-m", "pipeline", "prepare"], cwd=tmp_path, env=environment())
    while process.poll() is None and not [*tmp_path.glob("data/.prepared.*")]:
        time.sleep(0.01)
    process.send_signal(signal.SIGSTOP)
    yield tmp_path
    process.kill()
    process.wait()


def environment():
    return {**os.environ, "PYTHONPATH": str(ROOT)}


@pytest.mark.fault(13, "two writers of one output")
def test_second_writer_is_rejected_and_first_is_unaffected(running_prepare):
    second = subprocess.run(
        [sys.executable, "-m", "pipeline", "prepare"],
        cwd=running_prepare,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert second.returncode == 1
    assert second.stderr.startswith("prepare: another process is at work on prepare in this folder")
    assert len([*running_prepare.glob("data/.prepared.*")]) == 1


HOLD = """
import sys, time
from pathlib import Path
from pipeline.core.errors import UserError
from pipeline.core.machine_errors import describe_machine_error
from pipeline.storage.files import hold_writer_lock, write_folder
with write_folder(Path("data/augmented")) as folder:
    (folder / "a.txt").write_text("a")
    print("ready", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def writer(tmp_path, monkeypatch):
    """A process that is writing data/augmented."""
    monkeypatch.chdir(tmp_path)
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD], cwd=tmp_path, env=environment(), stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "ready\n"
    yield process
    process.kill()
    process.communicate()


def write(text: str) -> None:
    with write_folder(Path("data/augmented")) as folder:
        (folder / "b.txt").write_text(text)


def unfinished() -> list[Path]:
    return [*Path("data").glob(".augmented.*")]


@pytest.mark.fault(13, "a writer is killed (SIGKILL)")
def test_leftovers_of_killed_process_are_removed_by_the_next_one(writer):
    Path("data/.augmented.tmp-a_1b2c3d").write_text("of write_file")
    Path("data/.augmented.template").write_text("of the user")
    writer.send_signal(signal.SIGKILL)
    writer.wait()
    assert len(unfinished()) == 3
    write("b")
    assert unfinished() == [Path("data/.augmented.template")]
    assert [path.name for path in Path("data/augmented").iterdir()] == ["b.txt"]


@pytest.mark.fault(13, "a second writer beside a living one")
@pytest.mark.usefixtures("writer")
def test_temporary_folder_of_living_process_stays():
    [folder] = unfinished()
    write("b")
    assert unfinished() == [folder]
    assert (folder / "a.txt").read_text() == "a"


def write_too_much() -> None:
    with write_folder(Path("data/augmented")) as folder:
        (folder / "b.txt").write_bytes(bytes(1 << 20))


@pytest.mark.fault(13, "a full disk")
def test_full_disk_leaves_the_old_folder_and_no_other(tmp_path, monkeypatch):
    with mount_small_disk(tmp_path / "disk", kilobytes=64) as disk:
        monkeypatch.chdir(disk)
        write("old")
        with pytest.raises(OSError, match="No space left") as caught:
            write_too_much()
        monkeypatch.chdir(tmp_path)
        assert [path.name for path in (disk / "data").iterdir()] == ["augmented"]
        assert (disk / "data/augmented/b.txt").read_text() == "old"
    assert caught.value.filename == "data/augmented"


@pytest.mark.fault(2, "a network disk that is mounted without locks")
@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_a_disk_without_locks_is_one_sentence(tmp_path, monkeypatch, number):
    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with (
        pytest.raises(UserError, match=rf"{tmp_path} has no locks"),
        hold_writer_lock(tmp_path / "lock", what="it"),
    ):
        pass
    error = OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))  # of another lock
    assert describe_machine_error(error).startswith("this disk has no locks")
