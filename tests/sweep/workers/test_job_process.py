"""The processes of a job: started, stopped as a whole, ended with the sweep."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from pipeline.sweep.workers import guard
from pipeline.sweep.workers.job_process import JobProcess, ProcessSettings

PYTHON = [sys.executable, "-S", "-c"]
SLEEPER = """
import signal, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(60)"])
print(child.pid, flush=True)
try:
    time.sleep(60)
except KeyboardInterrupt:
    print("checkpoint", flush=True)
    sys.exit(130)
"""
DEAF = f"import signal; signal.signal(signal.SIGINT, signal.SIG_IGN){SLEEPER}"


@pytest.fixture
def settings(tmp_path):
    return ProcessSettings(tmp_path, dict(os.environ), tmp_path / "job/output.log")


def is_running(number: int) -> bool:
    try:
        return psutil.Process(number).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def run_in_thread(process: JobProcess, code: str, settings: ProcessSettings) -> tuple[list[str], list, int]:
    """Run a command until it has written its first line; return lines, exit codes, and that line's number."""
    lines: list[str] = []
    codes: list[int | None] = []
    thread = threading.Thread(
        target=lambda: codes.append(process.run([*PYTHON, code], settings, lines.append))
    )
    thread.start()
    end = time.monotonic() + 20
    while not lines and time.monotonic() < end:
        time.sleep(0.02)
    return lines, [thread, codes], int(lines[0])


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("print('a')", 0),
        ("raise SystemExit(3)", 3),
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", -signal.SIGSEGV),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", -signal.SIGKILL),
    ],
)
def test_the_exit_code_is_that_of_the_command(settings, code, expected):
    assert JobProcess().run([*PYTHON, code], settings, lambda _: None) == expected


def test_output_goes_to_the_log_and_to_the_caller_and_a_second_attempt_is_added(settings):
    lines: list[str] = []
    for _ in range(2):
        JobProcess().run([*PYTHON, "print('ä\\nb')"], settings, lines.append)
    assert lines == ["ä", "b"] * 2
    assert settings.log.read_text("utf-8") == "ä\nb\n" * 2


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="the system has no affinity")
def test_a_job_runs_on_its_own_cores_and_its_memory_is_measured(settings):
    core = max(os.sched_getaffinity(0))
    lines: list[str] = []
    process = JobProcess(measures_memory=True)
    code = "import os, time; x = bytearray(50_000_000); print(os.sched_getaffinity(0)); time.sleep(1.3)"
    process.run([*PYTHON, code], settings._replace(cores=(core,)), lines.append)
    assert lines == [f"{{{core}}}"]
    assert 50_000_000 < process.peak_bytes < 150_000_000


@pytest.mark.fault(14, "Ctrl-C of a sweep: its jobs write their checkpoints")
def test_a_stopped_job_may_write_its_checkpoint_and_all_of_its_processes_end(settings):
    process = JobProcess()
    lines, (thread, codes), child = run_in_thread(process, SLEEPER, settings)
    process.stop(force=False)
    thread.join(20)
    assert codes == [130]
    assert any(line.startswith("checkpoint") for line in lines)  # the child may write in between
    assert not is_running(child)
    assert process.run([*PYTHON, "print()"], settings, lines.append) is None  # a stopped job starts nothing


@pytest.mark.fault(14, "a job that ignores Ctrl-C")
def test_a_forced_stop_kills_at_once(settings):
    process = JobProcess()
    _, (thread, codes), child = run_in_thread(process, DEAF, settings)
    process.stop(force=False)
    time.sleep(0.3)
    assert thread.is_alive()
    process.stop(force=True)
    thread.join(20)
    assert codes == [-signal.SIGKILL]
    assert not is_running(child)


@pytest.mark.fault(14, "dvc is killed while its stage runs")
def test_processes_that_outlive_the_command_are_ended(settings):
    lines: list[str] = []
    code = f"{SLEEPER.split('try')[0]}"
    assert JobProcess().run([*PYTHON, code], settings, lines.append) == 0
    assert not is_running(int(lines[0]))


@pytest.mark.fault(14, "SIGKILL of a sweep")
@pytest.mark.parametrize("code", [SLEEPER, pytest.param(DEAF, marks=pytest.mark.slow)])
def test_jobs_of_a_killed_sweep_end_and_hold_their_workspace_until_then(tmp_path, code):
    sweep = f"""
import os, sys
sys.path.insert(0, {str(Path(__file__).parents[3])!r})
from pathlib import Path
from pipeline.sweep.workers.job_process import JobProcess, ProcessSettings
import fcntl
lock = os.open({str(tmp_path / "lock")!r}, os.O_RDWR | os.O_CREAT)
fcntl.flock(lock, fcntl.LOCK_EX)
folder = Path({str(tmp_path)!r})
settings = ProcessSettings(folder, dict(os.environ), folder / "log", (), lock)
JobProcess().run([sys.executable, "-S", "-c", {code!r}], settings, lambda line: print(line, flush=True))
"""
    with subprocess.Popen([sys.executable, "-c", sweep], stdout=subprocess.PIPE, text=True) as running:
        child = int(running.stdout.readline())
        running.kill()

    with (tmp_path / "lock").open() as lock:
        end = time.monotonic() + 60
        while time.monotonic() < end:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                time.sleep(0.05)
        else:
            pytest.fail("the guard did not end")
    assert not is_running(child)


def test_the_guard_needs_the_standard_library_alone():
    watched, held = os.pipe()  # it stays open: else the guard would interrupt its group
    words = [sys.executable, "-S", "-E", guard.__file__, str(watched), "", "true"]
    done = subprocess.run(words, pass_fds=(watched,), process_group=0)
    os.close(watched)
    os.close(held)
    assert done.returncode == 0
