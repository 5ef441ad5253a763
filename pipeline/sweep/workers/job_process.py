"""The processes of a job: one process group, which is stopped as a whole and ends with the sweep.

The group holds the guard, dvc, the stages' shells, the stages and their workers. Killing dvc alone would
leave a training running. It stays in the session of the sweep, so that forks of a fork server can join it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, Final, NamedTuple

from pipeline.sweep.workers import guard

STOP_SIGNALS: Final = ((signal.SIGINT, 30.0), (signal.SIGTERM, 10.0), (signal.SIGKILL, 10.0))
"""Signals that stop a job, each with seconds to wait: after SIGINT a training writes its checkpoint."""
POLL_SECONDS: Final = 0.05
MEMORY_SECONDS: Final = 1.0
"""How often the memory of a job is measured."""


class ProcessSettings(NamedTuple):
    """How a job's processes run.

    Attributes:
        folder: Where.
        environment: All of their environment variables.
        log: The file for all of their output; it is appended to.
        cores: The CPUs that they may use; empty for all.
        lock: A handle that the guard keeps open until all processes have ended; None for none.
    """

    folder: Path
    environment: Mapping[str, str]
    log: Path
    cores: Sequence[int] = ()
    lock: int | None = None


class JobProcess:
    """Runs one command after the other for a job; another thread may stop it.

    Attributes:
        peak_bytes: The most memory that the processes had at once, where it is measured.
        is_stopped: Whether it was asked to stop.
    """

    def __init__(self, *, measures_memory: bool = False) -> None:
        """Prepare; nothing runs yet.

        Args:
            measures_memory: Whether to measure `peak_bytes`.
        """
        self.peak_bytes = 0
        self.is_stopped = False
        self._measures_memory = measures_memory
        self._is_forced = False
        self._measured = 0.0
        self._told, self._deadline = 0, 0.0
        self._lock = threading.Lock()

    def run(
        self, command: Sequence[str], settings: ProcessSettings, on_line: Callable[[str], None]
    ) -> int | None:
        """Run a command and wait for all processes of its group.

        Args:
            command: Its words.
            settings: How it runs.
            on_line: Called with each line of its output, without the line end, from another thread.

        Returns:
            Its exit code, negative for a signal; None if the job was stopped before the command started.
        """
        with self._lock:
            if self.is_stopped:
                return None
            child, watched = _start(command, settings)
        try:
            settings.log.parent.mkdir(parents=True, exist_ok=True)
            with settings.log.open("a", encoding="utf-8") as log:
                reader = threading.Thread(target=_copy_lines, args=(child.stdout, log, on_line), daemon=True)
                reader.start()
                self._wait(child)
                _end_group(child.pid)
                reader.join(10.0)
        finally:
            _end_group(child.pid)
            child.wait()
            os.close(watched)
        return child.returncode

    def stop(self, *, force: bool) -> None:
        """Ask the job to write its checkpoint and end, or with `force` kill its processes.

        A job that has not ended after a while is stopped by SIGTERM, and then killed.
        """
        with self._lock:
            self.is_stopped = True
            self._is_forced = self._is_forced or force

    def _wait(self, child: subprocess.Popen[str]) -> None:
        while child.poll() is None:
            self._send_signals(child.pid)
            self._measure(child.pid)
            time.sleep(POLL_SECONDS)

    def _send_signals(self, group: int) -> None:
        if self._is_forced:
            self._told = len(STOP_SIGNALS)
            _signal_group(group, signal.SIGKILL)
        elif self.is_stopped and self._told < len(STOP_SIGNALS) and time.monotonic() >= self._deadline:
            number, seconds = STOP_SIGNALS[self._told]
            _signal_group(group, number)
            self._told, self._deadline = self._told + 1, time.monotonic() + seconds

    def _measure(self, group: int) -> None:
        if self._measures_memory and time.monotonic() >= self._measured + MEMORY_SECONDS:
            self.peak_bytes = max(self.peak_bytes, measure_group_memory(group))
            self._measured = time.monotonic()


def measure_group_memory(group: int) -> int:
    """Return the bytes of memory of a process group; pages that processes share count once.

    Args:
        group: The number of its first process.
    """
    return sum(map(_measure_process, _list_members(group)))


def _list_members(group: int) -> list[int]:
    """List the processes of a group, without those that have ended and only wait to be collected."""
    import psutil

    found = []
    for number in psutil.pids():
        with suppress(OSError, psutil.Error):
            if os.getpgid(number) == group and psutil.Process(number).status() != psutil.STATUS_ZOMBIE:
                found.append(number)
    return found


def _measure_process(number: int) -> int:
    """Return the proportional set size of a process, or where there is none its resident one."""
    import psutil

    with suppress(OSError, ValueError, StopIteration):  # not Linux, or it has just ended
        lines = Path(f"/proc/{number}/smaps_rollup").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("Pss:")).split()[1]) * 1024
    with suppress(psutil.Error):
        return int(psutil.Process(number).memory_info().rss)
    return 0


def _start(command: Sequence[str], settings: ProcessSettings) -> tuple[subprocess.Popen[str], int]:
    """Start a command under its guard; return the guard and the end of the pipe that keeps it alive."""
    watched, held = os.pipe()
    cores = ",".join(map(str, settings.cores))
    guarded = [sys.executable, "-S", "-E", str(Path(guard.__file__)), str(watched), cores, *command]
    handles = (watched,) if settings.lock is None else (watched, settings.lock)
    options: dict[str, Any] = {"text": True, "errors": "backslashreplace", "process_group": 0}
    try:
        child = subprocess.Popen(
            guarded,
            cwd=settings.folder,
            env=dict(settings.environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=handles,
            **options,
        )
    except BaseException:
        os.close(held)
        raise
    finally:
        os.close(watched)
    return child, held


def _copy_lines(source: IO[str], log: IO[str], on_line: Callable[[str], None]) -> None:
    """Copy output to the log; a full disk must not stop the job that writes it."""
    with source:
        for line in source:
            with suppress(OSError, ValueError):
                log.write(line)
                log.flush()
            on_line(line.rstrip("\n"))


def _signal_group(group: int, number: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def _end_group(group: int) -> None:
    """End what is left of a group whose command has ended, such as a training whose dvc was killed."""
    for number, seconds in STOP_SIGNALS[1:]:
        end = time.monotonic() + seconds
        if not _list_members(group):
            return
        _signal_group(group, number)
        while _list_members(group) and time.monotonic() < end:
            time.sleep(POLL_SECONDS)
