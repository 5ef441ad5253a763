"""Run this process's own command in a fork of a server, so that it need not import its modules."""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Final

from pipeline.runtime.fork_server.messages import (
    ADDRESS_VARIABLE,
    MessageConnection,
    connect_to_server,
    find_server,
)
from pipeline.runtime.fork_server.process_state import (
    STOP_SIGNALS,
    build_request,
    describe_process,
)

_ARRIVAL_SECONDS: Final = 0.3
"""How long a signal may take to the fork, which is in the group of this process; then it is passed on."""


def run_in_fork(module: str, arguments: list[str]) -> int | None:
    """Run a command in a fork of the server that FINETRACK_FORK_SERVER names, and wait for its end.

    The fork has the environment, folder, files, limits, CPUs and process group of this process. If it ends by
    a signal, so does this process.

    Returns:
        The exit status; None if this process has to run the command itself.
    """
    address, kind = os.environ.get(ADDRESS_VARIABLE), find_server(module, arguments)
    connection = connect_to_server(Path(address), kind) if address and kind else None
    if connection is None:
        return None
    heard, hears = os.pipe()
    with connection, _notice_signals() as arrived:
        pid = _start_fork(connection, module, arguments, [0, 1, 2, hears])
        os.close(hears)
        status = None if pid is None else _wait_for_fork(connection, pid, heard, arrived)
        os.close(heard)
    if pid is None:
        return None
    if status is None or os.WIFSIGNALED(status):
        _end_by_signal(signal.SIGKILL if status is None else os.WTERMSIG(status))
    return os.waitstatus_to_exitcode(status or 0)


def _start_fork(
    connection: MessageConnection, module: str, arguments: list[str], files: list[int]
) -> int | None:
    """Ask for a fork; return its process id, or None where the server refuses or has ended."""
    state = describe_process(Path.cwd(), os.environ)
    request = build_request(module, arguments, state, group=os.getpgid(0))
    with suppress(OSError, ValueError):
        connection.send(request, files)
        answer = connection.receive() or {}
        return answer.get("started")
    return None


@contextmanager
def _notice_signals() -> Iterator[list[int]]:
    """Collect signals that stop a process instead of being stopped: the fork gets them, too."""
    arrived: list[int] = []

    def note(number: int, _frame: FrameType | None) -> None:
        arrived.append(number)

    kept = {number: signal.getsignal(number) for number in STOP_SIGNALS}
    for number, handler in kept.items():
        if handler is not signal.SIG_IGN:
            signal.signal(number, note)
    try:
        yield arrived
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)


def _wait_for_fork(connection: MessageConnection, pid: int, heard: int, arrived: list[int]) -> int | None:
    """Wait for the end of a fork; return its status, or None if the server has ended: the fork has, too."""
    waiting: dict[int, float] = {}
    recent: dict[int, float] = {}
    sources: list[MessageConnection | int] = [connection, heard]
    watch = os.pidfd_open(pid)
    try:
        while True:
            ready, _, _ = select.select(sources, [], [], 0.1)
            if connection in ready:
                return _receive_status(connection)
            now = time.monotonic()
            if heard in ready:
                numbers = os.read(heard, 64)
                recent.update(dict.fromkeys(numbers, now))
                if not numbers:
                    sources.remove(heard)
            while arrived:
                waiting[arrived.pop()] = now
            _pass_on_signals(watch, waiting, recent, now)
    finally:
        os.close(watch)


def _pass_on_signals(watch: int, waiting: dict[int, float], recent: dict[int, float], now: float) -> None:
    """Send the fork the signals that came to this process alone, not to its whole group."""
    for number, since in list(waiting.items()):
        if number in recent and recent[number] > since - 2 * _ARRIVAL_SECONDS:
            del waiting[number], recent[number]
        elif now - since > _ARRIVAL_SECONDS:
            del waiting[number]
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(watch, number)


def _receive_status(connection: MessageConnection) -> int | None:
    with suppress(OSError, ValueError):
        return (connection.receive() or {}).get("status")
    return None


def _end_by_signal(number: int) -> None:
    if number not in (signal.SIGKILL, signal.SIGSTOP):
        signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
