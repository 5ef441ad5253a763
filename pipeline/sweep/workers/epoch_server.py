"""Receive the epochs of trainings over TCP, and answer whether a training is pruned.

The trainings may run on other machines, so what arrives is not trusted: each job has a token, lines are
short, and what is not a report closes its connection. One thread serves all connections.
`runtime/epoch_channel.py` is the other end.
"""

from __future__ import annotations

import hmac
import secrets
import selectors
import socket
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from queue import Queue
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field

from pipeline.core.metric_names import MAIN_METRICS
from pipeline.runtime.epoch_channel import CONTINUE_ANSWER, MAX_LINE_BYTES, PRUNE_ANSWER
from pipeline.sweep.job import EpochReported, SweepEvent

MAX_CONNECTIONS: Final = 1024
"""Above it, a new connection takes the place of the oldest that has shown no token."""
MAX_EPOCHS: Final = 10_000_000
SILENT_SECONDS: Final = 10.0
"""A connection without a token is closed after so long."""
_CHECK_SECONDS: Final = 1.0


class EpochReport(BaseModel):
    """A line of a training, as JSON; see `EpochReported` for the values."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    number: int
    token: Annotated[str, Field(pattern="^[0-9a-f]{32}$")]
    epoch: Annotated[int, Field(ge=1, le=MAX_EPOCHS)]
    epochs: Annotated[int, Field(ge=1, le=MAX_EPOCHS)] | None
    metric: str
    value: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


class _Connection:
    """One connection, and what of a line has arrived."""

    def __init__(self, peer: socket.socket) -> None:
        self.peer, self.received, self.since = peer, b"", time.monotonic()
        self.is_known = self.is_waiting = False


class EpochServer:
    """Puts `EpochReported` into the queue, and sends a training its answer.

    A job that was told to end is told so again with each later report, also from another process: the answer
    may have been lost, or the job was started again after a kill.
    """

    def __init__(
        self, events: Queue[SweepEvent], host: str = "127.0.0.1", *, shown: str | None = None
    ) -> None:
        """Listen on a free port.

        Args:
            events: The queue of the sweep.
            host: The address to listen on.
            shown: The name of this machine for the jobs, where they cannot use `host`, such as 0.0.0.0.
        """
        self._events, self._shown = events, shown or host
        self._tokens: dict[int, str] = {}
        self._pruned: set[int] = set()
        self._connections: dict[socket.socket, _Connection] = {}
        self._lock = threading.RLock()
        self._listener = socket.create_server((host, 0), backlog=128)
        self._listener.setblocking(False)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._is_closing = False
        self._thread = threading.Thread(target=self._serve, name="finetrack-epochs", daemon=True)
        self._thread.start()

    def address_for(self, number: int) -> str:
        """Return what FINETRACK_SWEEP_CHANNEL is for a job; the same for each of its attempts."""
        with self._lock:
            token = self._tokens.setdefault(number, secrets.token_hex(16))
        return f"{self._shown}:{self._listener.getsockname()[1]}/{number}/{token}"

    def close(self) -> None:
        """Close all connections; trainings that run go on without the sweep."""
        self._is_closing = True
        self._thread.join()

    def _serve(self) -> None:
        while not self._is_closing:
            for key, _ in self._selector.select(timeout=_CHECK_SECONDS / 4):
                if key.fileobj is self._listener:
                    self._accept()
                else:
                    self._receive(key.data)
            self._drop_silent()
        with self._lock:
            for connection in [*self._connections.values()]:
                self._drop(connection)
            self._listener.close()
            self._selector.close()

    def _accept(self) -> None:
        try:
            peer, _ = self._listener.accept()
        except OSError:  # it is gone already, or there are too many open files: those that wait come next
            time.sleep(0.01)
            return
        peer.setblocking(False)
        with self._lock:
            unknown = [other for other in self._connections.values() if not other.is_known]
            if len(self._connections) >= MAX_CONNECTIONS and unknown:
                self._drop(unknown[0])
            self._connections[peer] = _Connection(peer)
            self._selector.register(peer, selectors.EVENT_READ, self._connections[peer])

    def _receive(self, connection: _Connection) -> None:
        with self._lock:
            if connection.peer not in self._connections:
                return
            try:
                part = connection.peer.recv(MAX_LINE_BYTES)
            except BlockingIOError:
                return
            except OSError:
                part = b""
            connection.received += part
            line, end, rest = connection.received.partition(b"\n")
            # Before its answer a training sends nothing: a second line is not from one.
            if (
                not part
                or len(connection.received) > MAX_LINE_BYTES
                or connection.is_waiting
                or (end and rest)
            ):
                self._drop(connection)
            elif end:
                connection.received = b""
                self._take_line(connection, line)

    def _take_line(self, connection: _Connection, line: bytes) -> None:
        report = parse_report(line, self._tokens)
        if report is None:
            self._drop(connection)
            return
        connection.is_known = connection.is_waiting = True
        if report.number in self._pruned:
            self._answer(connection, report.number, True)
        else:
            answer = partial(self._answer, connection, report.number)
            facts = report.model_dump(exclude={"token"})
            self._events.put(EpochReported(**facts, answer=answer))

    def _answer(self, connection: _Connection, number: int, prune: bool) -> None:
        """Send the answer; a training that has stopped waiting gets it with its next report."""
        with self._lock:
            if prune:
                self._pruned.add(number)
            if not connection.is_waiting or connection.peer not in self._connections:
                return
            connection.is_waiting = False
            try:
                connection.peer.send((PRUNE_ANSWER if prune else CONTINUE_ANSWER) + b"\n")
            except OSError:
                self._drop(connection)

    def _drop_silent(self) -> None:
        oldest = time.monotonic() - SILENT_SECONDS
        with self._lock:
            for connection in [*self._connections.values()]:
                if not connection.is_known and connection.since < oldest:
                    self._drop(connection)

    def _drop(self, connection: _Connection) -> None:
        del self._connections[connection.peer]
        with suppress(OSError, KeyError, ValueError):
            self._selector.unregister(connection.peer)
        connection.peer.close()


def parse_report(line: bytes, tokens: Mapping[int, str]) -> EpochReport | None:
    """Parse a line of a training; None where it is no report, or its token is not that of the job.

    Args:
        line: JSON, as `EpochReport` has it.
        tokens: The token of each job.
    """
    try:
        report = EpochReport.model_validate_json(line)
    except ValueError:
        return None
    expected = tokens.get(report.number) or secrets.token_hex(16)  # takes as long for a job that is not
    is_known = hmac.compare_digest(report.token.encode(), expected.encode())
    return report if is_known and report.metric in MAIN_METRICS else None
