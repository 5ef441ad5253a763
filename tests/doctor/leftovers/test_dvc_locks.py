"""DVC's rwlock, as a DVC that was killed leaves it."""

import fcntl
import json
import os
import subprocess
import sys
import time

import pytest

from pipeline.core.errors import UserError
from pipeline.doctor.leftovers.dvc_locks import check_hardlink_lock, check_rwlock, read_rwlock

HOLD = """
import os, sys
from dvc.fs import localfs
from dvc.rwlock import rwlock
with rwlock(sys.argv[1], localfs, "dvc repro finetune", [], ["/data/prepared"], False):
    print("held", flush=True)
    sys.stdin.read() if sys.argv[2] == "wait" else os._exit(9)
"""


@pytest.fixture
def folder(project):
    path = project.root / ".dvc/tmp"
    path.mkdir(parents=True)
    return path


def start(folder, what):
    command = [sys.executable, "-c", HOLD, str(folder), what]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"held\n"
    return process


def write(folder, content):
    (folder / "rwlock").write_text(content if isinstance(content, str) else json.dumps(content))


@pytest.mark.fault(13, "stale locks of a killed DVC")
def test_what_a_killed_dvc_left_is_removed(project, folder):
    start(folder, "die").communicate()
    [found] = check_rwlock(project)
    assert (found.state, found.repair is not None) == ("warning", True)
    assert "1 process" in found.repair()
    assert json.loads((folder / "rwlock").read_text()) == {"read": {}, "write": {}}
    assert [*check_rwlock(project)] == []


def test_what_a_living_dvc_holds_stays(project, folder):
    process = start(folder, "wait")
    before = (folder / "rwlock").read_text()
    assert [*check_rwlock(project)] == []
    assert read_rwlock(folder / "rwlock").kept == json.loads(before)
    process.communicate(b"")
    assert [*check_rwlock(project)] == []


@pytest.mark.fault(13, "stale locks of a killed DVC")
def test_a_number_that_another_process_has_now_blocks_dvc(project, folder):
    with subprocess.Popen(["sleep", "60"]) as one, subprocess.Popen(["sleep", "60"]) as other:
        entries = {path: {"pid": each.pid, "cmd": "dvc"} for path, each in (("/a", one), ("/b", other))}
        write(folder, {"write": entries})
        [found] = check_rwlock(project)
        assert found.state == "fault"
        found.repair()
        one.kill(), other.kill()
    assert json.loads((folder / "rwlock").read_text())["write"] == {}


@pytest.mark.fault(13, "a clock that was set while DVC runs")
def test_a_dvc_that_seems_to_have_begun_after_its_entry_holds_it(project, folder):
    process = start(folder, "wait")
    os.utime(folder / "rwlock", (time.time() - 10**8,) * 2)
    assert [*check_rwlock(project)] == []
    process.communicate(b"")


@pytest.mark.fault(13, "stale locks of a killed DVC")
def test_entries_stay_while_a_command_of_the_project_runs_elsewhere(project, folder):
    """In a container, the number of its process is not known here, and its lock is."""
    start(folder, "die").communicate()
    [found] = check_rwlock(project)
    lock = project.scratch / "locks/prepare.lock"
    lock.parent.mkdir(parents=True)
    before = (folder / "rwlock").read_text()
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(UserError):
            found.repair()
    assert (folder / "rwlock").read_text() == before


@pytest.mark.fault(13, "stale locks of a killed DVC")
def test_a_program_that_is_no_dvc_holds_nothing(project, folder):
    with subprocess.Popen(["sleep", "60"]) as process:
        write(folder, {"read": {"/a": [{"pid": process.pid, "cmd": "/v/bin/dvc repro"}]}})
        [found] = check_rwlock(project)
        assert (found.state, str(process.pid) in found.seen) == ("fault", True)
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # a zombie now
        [found] = check_rwlock(project)
        assert found.state == "fault"
    [found] = check_rwlock(project)
    assert found.state == "warning"


@pytest.mark.fault(13, "stale locks of a killed DVC")
@pytest.mark.parametrize("content", ["", '{"write": {"/a": {"pi', "[]", '{"write": {"/a": {"cmd": "dvc"}}}'])
def test_a_file_that_was_cut_off_is_deleted(project, folder, content):
    write(folder, content)
    [found] = check_rwlock(project)
    assert found.state == "fault"
    found.repair()
    assert not (folder / "rwlock").exists()


def test_a_lock_that_is_a_file_alone_is_told(project, folder, states):
    assert states(check_hardlink_lock(project.root)) == []
    (folder / "lock").touch()
    assert states(check_hardlink_lock(project.root)) == ["warning"]
