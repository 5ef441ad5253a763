"""Send messages to MLflow in a background thread, so that no stage waits for it."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Generator

from pipeline.runtime.progress import print_notice
from pipeline.tracking.client import MlflowClientCache, is_outage
from pipeline.tracking.mlflow_writer import OPENING_KINDS, MlflowWriter
from pipeline.tracking.outbox import OutboxMessage, RunOutbox

RETRY_PAUSES_SECONDS = (0.2, 0.5, 1, 2, 5, 10, 30)
"""Seconds before each retry; the last value repeats."""
SHORT_REASONS = {
    "Connection refused": "connection refused",
    "timed out": "no answer in time",
    "resolve": "unknown host name",
    "error code 401": "credentials needed: set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD",
    "error code 403": "not allowed with these credentials",
    "No space left": "no space left on the disk",
}
"""Short reasons for MLflow's long error messages, by a part of the message."""
MAX_FAILURES_AT_END = 3
"""Failed tries at the end of a stage after which it stops trying."""


class OutboxSender:
    """Sends the messages of one outbox in order; while idle, it advances `missed` (`deliver_missed`)."""

    def __init__(self, store: MlflowClientCache, outbox: RunOutbox, missed: Generator[None]) -> None:
        self.outbox = outbox
        self._writer = MlflowWriter(store, outbox)
        self._missed = missed
        self._failures = 0
        self._reason = ""
        self._closing = False
        self._ended = False
        self._unsent_count = 0
        self._change = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="finetrack-outbox", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """Wake the thread: there is a new message."""
        with self._change:
            self._change.notify_all()

    def wait_for_run_id(self, timeout: float) -> str | None:
        """Wait for the run's id, until it is clear that the store is away; return None then."""
        with self._change:
            self._change.wait_for(lambda: self._writer.run_id or self._failures > 1 or self._ended, timeout)
        return self._writer.run_id

    def close(self, timeout: float) -> bool:
        """Send the remaining messages for at most `timeout` seconds; return whether all were sent."""
        with self._change:
            self._closing = True
            self._change.notify_all()
        self._thread.join(min(1.0, timeout))
        if self._thread.is_alive():
            print_tracking_notice(
                f"sending the last messages to MLflow at {self._uri()} (at most {timeout:.0f} s) ..."
            )
            self._thread.join(timeout)
        unsent = self._unsent_count if self._ended else len(self.outbox.read_pending(limit=10_000))
        if unsent:
            print_tracking_notice(
                f"{unsent} messages for MLflow at {self._uri()} wait in {self.outbox.folder.parent}; "
                f"the next command sends them{self._reason}"
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
            pending = self.outbox.read_pending()
            if pending and tries:
                tries = MAX_FAILURES_AT_END if self._send(pending) else tries - self._closing
            elif self._closing:
                return
            elif next(self._missed, self) is self:
                self._pause(None)

    def _send(self, pending: list[tuple[int, OutboxMessage]]) -> bool:
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

    def _handle_failure(self, error: Exception) -> None:
        self._failures += 1
        self._reason = f" ({_shorten_reason(error)})"
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


def send_next_messages(writer: MlflowWriter, pending: list[tuple[int, OutboxMessage]]) -> None:
    """Send the first message, with as many of the next ones as fit into the same call.

    A message that MLflow refuses is dropped with a notice: it would block all others forever.

    Raises:
        Exception: The store is away; the messages stay in the outbox.
    """
    kind = pending[0][1]["kind"]
    alike = itertools.takewhile(lambda item: item[1]["kind"] == kind == "metrics", pending)
    same = list(alike) or pending[:1]
    try:
        writer.apply([message for _, message in same])
    except Exception as error:
        if is_outage(error) or kind in OPENING_KINDS:
            raise
        writer.forget_points()
        if len(same) > 1:
            send_next_messages(writer, pending[:1])
            return
        print_tracking_notice(f"MLflow refused {_describe_message(pending[0][1])}: {_shorten_reason(error)}")
    writer.outbox.mark_sent(*same[-1])


def print_tracking_notice(sentence: str) -> None:
    """Print a notice about logging on standard error."""
    print_notice(f"tracking: {sentence}")


def _describe_message(message: OutboxMessage) -> str:
    about = ", ".join(message.get("values", {})) or message.get("file", "")
    return f"{message['kind']} {about[:100]}".strip()


def _shorten_reason(error: Exception) -> str:
    text = " ".join(str(error).split())
    return next((reason for part, reason in SHORT_REASONS.items() if part in text), text[:150])
