"""What killed processes leave beside outputs and in the scratch folder."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline.core.errors import UserError
from pipeline.doctor.leftovers.temporary_files import check_temporary_files, list_leftovers
from pipeline.storage.files import hold_writer_lock

WRITE = """
import sys, time
from pathlib import Path
from pipeline.storage.files import write_folder
with write_folder(Path("data/prepared")) as folder:
    (folder / "a").write_text("1")
    print("writing", flush=True)
    time.sleep(60)
"""
HOLD = """
from pathlib import Path
from pipeline.storage.files import hold_writer_lock
with hold_writer_lock(Path(".finetrack/locks/a.lock"), what="a"):
    print("held", flush=True)
    input()
"""
ROOT = Path(__file__).parents[3]
OLD = (
    ".finetrack/weights/loading-abc",
    ".finetrack/iterations/.restore-abc",
    ".finetrack/iterations/tmpabc",
    ".finetrack/comparison/.compare-abc",
    ".finetrack/tmp/pymp-abc",
    ".dvc/tmp/exps/standalone/tmpabc",
)
STAYS = (
    ".finetrack/checkpoints/key/last.pt",
    ".finetrack/outbox/abc",
    ".finetrack/sweeps/one/workspaces/0",
    ".dvc/tmp/exps/run",
    "data/.mine.tmp-abcdefgh",
    "data/.prepared.template",
    "data/prepared",
)


def plant(project, *names: str, days=2.0):
    for name in names:
        path = project.root / name
        path.mkdir(parents=True)
        os.utime(path, (time.time() - days * 86_400,) * 2)


def start(project):
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", WRITE]
    process = subprocess.Popen(command, cwd=project.root, env=environment, stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"writing\n"
    return process


def test_a_clean_project_is_ok(project, states):
    assert states(check_temporary_files(project)) == ["ok"]
    assert [*project.root.iterdir()] == []


@pytest.mark.fault(13, "temporary files of killed processes")
def test_the_folder_of_a_killed_stage_is_deleted_and_that_of_a_living_one_stays(project):
    with start(project) as process:
        assert list_leftovers(project.examine_again()) == []
        process.send_signal(signal.SIGKILL)
    [left] = (project.root / "data").glob(".prepared.*")
    assert list_leftovers(project.examine_again()) == []
    os.utime(left, (time.time() - 20,) * 2)
    [found] = check_temporary_files(project.examine_again())
    assert (found.state, left.name in found.seen) == ("warning", True)
    found.repair()
    assert not left.exists()


@pytest.mark.fault(13, "temporary files of killed processes")
def test_old_folders_are_deleted_and_nothing_else(project):
    plant(project, *OLD, *STAYS)
    [found] = check_temporary_files(project)
    assert "6 temporary" in found.seen
    assert "6 temporary" in found.repair()
    assert [name for name in OLD if (project.root / name).exists()] == []
    assert [name for name in STAYS if not (project.root / name).exists()] == []


def test_new_folders_may_be_in_use(project):
    plant(project, *OLD, days=0.01)
    assert list_leftovers(project) == []


def test_folders_that_a_running_process_may_use_stay(project):
    plant(project, *OLD)
    code = "'of pipeline'; import time; time.sleep(60)"
    with subprocess.Popen([sys.executable, "-S", "-c", code], cwd=project.root) as process:
        os.utime(project.root / OLD[0], (time.time() + 5,) * 2)
        try:
            [found] = check_temporary_files(project)
            assert len(list_leftovers(project)) == len(OLD) - 1  # it alone is younger
            assert found.state == "warning"
        finally:
            process.kill()


def test_nothing_is_deleted_while_a_command_holds_a_lock(project):
    plant(project, *OLD)
    [found] = check_temporary_files(project)
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(
        [sys.executable, "-c", HOLD], cwd=project.root, env=environment, **pipes
    ) as process:
        process.stdout.readline()
        with pytest.raises(UserError, match=r"a\.lock"):
            found.repair()
        process.communicate(b"\n")
    with hold_writer_lock(project.root / ".finetrack/locks/a.lock", what="a"):
        pass
    assert (project.root / OLD[0]).exists()
