"""Send messages to MLflow in a background thread, so that no stage waits for it."""

from __future__ import annotations

import itertools
import math
import threading
import time
from collections.abc import Generator
from typing import Final

from pipeline.core.text import format_count
from pipeline.runtime.progress import print_notice
from pipeline.tracking.outbox import OutboxMessage, RunOutbox
from pipeline.tracking.store.client import MlflowClientCache, allow_upload_time
from pipeline.tracking.store.mlflow_writer import OPENING_KINDS, MlflowWriter
from pipeline.tracking.store.outage import describe_failure, is_outage

RETRY_PAUSES_SECONDS: Final = (0.2, 0.5, 1, 2, 5, 10, 30)
"""Seconds before each retry; the last value repeats."""
MAX_FAILURES_AT_END: Final = 3
"""Failed tries at the end of a stage after which it stops trying."""
ANSWER_SECONDS: Final = 5.0
"""A stage waits so long for the answer to one message; a server that hangs must not delay it."""
RETRY_ANSWER_SECONDS: Final = 2.0
"""The same after a failure."""
OPENING_SECONDS: Final = 60.0
"""The same for a database that is created, migrated or opened here."""
MAX_MISSED_SECONDS_AT_END: Final = 1.0
"""A short session, as that of an evaluation, sends messages of earlier commands for so long at its end."""
MIN_UPLOAD_BYTES_PER_SECOND: Final = 1_000_000
"""The answer to an upload may take as much longer as it takes at this speed."""


class OutboxSender:
    """Sends the messages of one outbox in order; while idle, it advances `missed` (`deliver_missed`)."""

    def __init__(self, store: MlflowClientCache, outbox: RunOutbox, missed: Generator[float]) -> None:
        self.outbox = outbox
        self._writer = MlflowWriter(store, outbox)
        self._missed = missed
        self._missed_seconds = ANSWER_SECONDS
        self._failures = 0
        self._reason = ""
        self._closing = False
        self._missed_until = math.inf
        self._ended = False
        self._unsent_count = 0
        self._deadline = time.monotonic() + ANSWER_SECONDS
        self._change = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="finetrack-outbox", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """Wake the thread: there is a new message."""
        with self._change:
            self._change.notify_all()

    def wait_for_run_id(self, timeout: float) -> str | None:
        """Wait for the run's id, until it is clear that the store is away; return None then."""
        end = time.monotonic() + timeout

        def is_over() -> bool:
            late = time.monotonic() > min(end, self._deadline)
            return bool(self._writer.run_id or self._failures > 1 or self._ended or late)

        with self._change:
            while not self._change.wait_for(is_over, timeout=0.1):
                pass
        return self._writer.run_id

    def close(self, timeout: float) -> bool:
        """Send the remaining messages for at most `timeout` seconds; return whether all were sent.

        A store that does not answer ends the wait after `ANSWER_SECONDS`.
        """
        end = time.monotonic() + timeout
        with self._change:
            self._closing = True
            self._missed_until = time.monotonic() + MAX_MISSED_SECONDS_AT_END
            self._change.notify_all()
        self._thread.join(min(2.0, timeout))
        if self._thread.is_alive():
            print_tracking_notice(f"sending the last messages to MLflow at {self._uri()} ...")
        while self._thread.is_alive() and time.monotonic() < min(end, self._deadline):
            self._thread.join(0.1)
        unsent = self._unsent_count if self._ended else len(self.outbox.read_pending(limit=10_000))
        if unsent:
            reason = self._reason or " (no answer in time)"
            what, verb = format_count(unsent, "message", "messages"), "waits" if unsent == 1 else "wait"
            print_tracking_notice(
                f"{what} for MLflow at {self._uri()} {verb} in {self.outbox.folder.parent}; "
                f"the next command sends what waits{reason}"
            )
        return not unsent

    def _run(self) -> None:
        try:
            self._work()
        finally:
            self._missed.close()
            self._unsent_count = len(self.outbox.read_pending(limit=10_000))
            self.outbox.release() if self._unsent_count else self.outbox.delete()
            self._ended = True
            self.wake()

    def _work(self) -> None:
        tries = MAX_FAILURES_AT_END
        while True:
            closing = self._closing  # before the messages are read: the last one was written before it
            pending = self.outbox.read_pending()
            if pending and tries:
                tries = MAX_FAILURES_AT_END if self._send(pending) else tries - self._closing
            elif closing and (pending or time.monotonic() > self._missed_until):
                return
            elif not self._advance_missed():
                if closing:
                    return
                self._pause(None)

    def _advance_missed(self) -> bool:
        """Send the next message of an earlier command; return whether there was one."""
        self._deadline = time.monotonic() + self._missed_seconds
        seconds = next(self._missed, None)
        self._missed_seconds = seconds or ANSWER_SECONDS
        return seconds is not None

    def _send(self, pending: list[tuple[int, OutboxMessage]]) -> bool:
        self._deadline = time.monotonic() + self._estimate_seconds(pending)
        try:
            self.outbox.sync_messages()
            send_next_messages(self._writer, pending)
        except Exception as error:
            self._handle_failure(error)
            return False
        if self._failures > 1:
            print_tracking_notice(
                f"MLflow at {self._uri()} answers again; the waiting messages are being sent"
            )
        self._failures = 0
        self.wake()
        return True

    def _estimate_seconds(self, pending: list[tuple[int, OutboxMessage]]) -> float:
        """Return how long a stage waits for the next messages to be sent."""
        store = self._writer.store
        if self._failures:
            return RETRY_ANSWER_SECONDS
        if store.target.database and not store.is_open:
            return OPENING_SECONDS
        usual = store.target.timeout if store.target.database else ANSWER_SECONDS  # others write to it, too
        return estimate_send_seconds(self.outbox, pending[0][1], usual)

    def _handle_failure(self, error: Exception) -> None:
        self._failures += 1
        self._reason = f" ({describe_failure(error)})"
        self._writer.forget_points()
        if self._failures == 2:
            print_tracking_notice(
                f"MLflow at {self._uri()} does not accept messages{self._reason}: they wait in "
                f"{self.outbox.folder.parent} and are sent later; the stage continues"
            )
        self.wake()
        self._pause(RETRY_PAUSES_SECONDS[min(self._failures, len(RETRY_PAUSES_SECONDS)) - 1])

    def _pause(self, seconds: float | None) -> None:
        """Wait for a message, or after a failure for the next try; `close` ends the wait."""
        start = time.monotonic()

        def is_over() -> bool:
            if self._closing:
                return True
            if seconds is None:
                return bool(self.outbox.read_pending(limit=1))
            return time.monotonic() - start >= seconds

        with self._change:
            self._change.wait_for(is_over, timeout=seconds)

    def _uri(self) -> str:
        return str(self._writer.store.target.uri)


def estimate_send_seconds(outbox: RunOutbox, message: OutboxMessage, usual: float = ANSWER_SECONDS) -> float:
    """Return how long the answer to a message may take: an upload takes longer than usual."""
    return usual + outbox.count_file_bytes(message) / MIN_UPLOAD_BYTES_PER_SECOND


def send_next_messages(writer: MlflowWriter, pending: list[tuple[int, OutboxMessage]]) -> None:
    """Send the first message, with as many of the next ones as fit into the same call.

    A message that MLflow refuses is dropped with a notice: it would block all others forever.

    Raises:
        Exception: The store is away; the messages stay in the outbox.
    """
    kind = pending[0][1]["kind"]
    alike = itertools.takewhile(lambda item: item[1]["kind"] == kind == "metrics", pending)
    same = list(alike) or pending[:1]
    size = writer.outbox.count_file_bytes(pending[0][1])
    try:
        with allow_upload_time(writer.store.target, size / MIN_UPLOAD_BYTES_PER_SECOND):
            writer.apply([message for _, message in same])
    except Exception as error:
        if is_outage(error) or kind in OPENING_KINDS:
            raise
        writer.forget_points()
        if len(same) > 1:
            send_next_messages(writer, pending[:1])
            return
        print_tracking_notice(f"MLflow refused {_describe_message(pending[0][1])}: {describe_failure(error)}")
    writer.outbox.mark_sent(*same[-1])


def print_tracking_notice(sentence: str) -> None:
    """Print a notice about logging on standard error."""
    print_notice(f"tracking: {sentence}")


def _describe_message(message: OutboxMessage) -> str:
    about = ", ".join(message.get("values", {})) or message.get("file", "")
    return f"{message['kind']} {about[:100]}".strip()
