"""Report the epochs of a training to its sweep, and learn whether to end it. Standard library only.

A sweep sets FINETRACK_SWEEP_CHANNEL=HOST:PORT/NUMBER/TOKEN for each of its jobs. One connection per training,
one line of JSON each way for each epoch; `sweep/workers/epoch_server.py` is the other end. An answer is one
word: no code, path or number is taken from it.
"""

from __future__ import annotations

import functools
import json
import os
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from pipeline.runtime.progress import print_notice

CHANNEL_VARIABLE: Final = "FINETRACK_SWEEP_CHANNEL"
ANSWER_SECONDS: Final = 30.0
"""How long a training waits for the decision; the sweep may have to write to a database of a team."""
CONNECT_SECONDS: Final = 5.0
RETRY_SECONDS: Final = 0.5
"""The same once the sweep has not answered: so much is lost per epoch at most."""
MAX_LINE_BYTES: Final = 1024
"""Longest line in either direction."""
PRUNE_ANSWER: Final = b"prune"
CONTINUE_ANSWER: Final = b"continue"


def report_epoch(epoch: int, epochs: int | None, *, metric: str, value: float) -> bool:
    """Report a validated epoch to the sweep, and return whether the training ends here.

    Outside of a sweep, or where the sweep does not answer, it is False: the training goes on.

    Args:
        epoch: From 1.
        epochs: How many there will be at most; None where a time limit decides.
        metric: The name of the metric that ranks trainings of the task.
        value: Its value on val, 0 to 1.
    """
    address = os.environ.get(CHANNEL_VARIABLE)
    return bool(address) and _open_channel(str(address)).report(epoch, epochs, metric=metric, value=value)


class EpochChannel:
    """The connection of one training to its sweep."""

    def __init__(self, address: str, print_line: Callable[[str], None] = print_notice) -> None:
        """Remember the address; the first report connects.

        Args:
            address: HOST:PORT/NUMBER/TOKEN.
            print_line: Prints the notice that the sweep does not answer.
        """
        self._place, self._number, self._token = _parse_address(address)
        self._print = print_line
        self._connection: socket.socket | None = None
        self._is_silent = False
        self._was_told = False

    def report(self, epoch: int, epochs: int | None, *, metric: str, value: float) -> bool:
        """Report an epoch, and return whether the training ends here; see `report_epoch`."""
        facts = {"epoch": epoch, "epochs": epochs, "metric": metric, "value": value}
        message = {"number": self._number, "token": self._token, **facts}
        try:
            answer = self._ask(json.dumps(message, allow_nan=False).encode() + b"\n")
        except (OSError, ValueError) as error:  # ValueError: a host name that is none, NaN
            self.close()
            self._tell(error)
            return False
        self._is_silent = False
        return answer == PRUNE_ANSWER

    def close(self) -> None:
        """Close the connection, also for processes that were forked while it was open."""
        if self._connection is not None:
            with suppress(OSError):
                self._connection.shutdown(socket.SHUT_RDWR)
            self._connection.close()
            self._connection = None

    def _ask(self, line: bytes) -> bytes:
        """Send a line and return the answer. A connection that the sweep has closed is opened once more."""
        if self._place is None:
            raise OSError(f"{CHANNEL_VARIABLE} is not HOST:PORT/NUMBER/TOKEN")
        deadline = time.monotonic() + (RETRY_SECONDS if self._is_silent else ANSWER_SECONDS)
        was_open = self._connection is not None
        try:
            return self._exchange(line, deadline)
        except TimeoutError:
            raise
        except OSError:
            if not was_open:
                raise
            self.close()
            return self._exchange(line, deadline)

    def _exchange(self, line: bytes, deadline: float) -> bytes:
        assert self._place is not None
        if self._connection is None:
            seconds = min(CONNECT_SECONDS, _count_seconds_left(deadline))
            self._connection = socket.create_connection(self._place, timeout=seconds)
        self._connection.settimeout(_count_seconds_left(deadline))
        self._connection.sendall(line)
        return _read_answer(self._connection, deadline)

    def _tell(self, error: Exception) -> None:
        """Print once that the sweep does not answer."""
        self._is_silent = True
        if not self._was_told:
            self._was_told = True
            reason = f"no answer in {ANSWER_SECONDS:g} s" if isinstance(error, TimeoutError) else error
            self._print(f"finetune: the sweep does not answer ({reason}); the training goes on without it")


@functools.cache
def _open_channel(address: str) -> EpochChannel:
    return EpochChannel(address)


def _parse_address(address: str) -> tuple[tuple[str, int] | None, int, str]:
    """Return (host, port), number and token; None for the first where it is no address."""
    try:
        place, number, token = address.split("/")
        host, _, port = place.rpartition(":")
        return (host, int(port)), int(number), token
    except ValueError:
        return None, 0, ""


def _read_answer(connection: socket.socket, deadline: float) -> bytes:
    """Read one line.

    Raises:
        OSError: The connection was closed, the answer is too long, or none of the two words.
    """
    received = b""
    while b"\n" not in received:
        connection.settimeout(_count_seconds_left(deadline))
        part = connection.recv(MAX_LINE_BYTES)
        received += part
        if not part or len(received) > MAX_LINE_BYTES:
            raise ConnectionError("it closed the connection" if not part else "its answer is too long")
    answer = received.strip()
    if answer not in {PRUNE_ANSWER, CONTINUE_ANSWER}:
        raise ConnectionError("its answer is not known")
    return answer


def _count_seconds_left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left
