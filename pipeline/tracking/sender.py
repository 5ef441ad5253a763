"""The background thread that brings messages to MLflow, so that nobody else waits for it."""

from __future__ import annotations

import itertools
import sys
import threading
import time
from collections.abc import Generator

from pipeline.tracking.client import MlflowClientCache, is_outage
from pipeline.tracking.mlflow_writer import OPENING, MlflowWriter
from pipeline.tracking.outbox import OutboxMessage, RunOutbox

PAUSES = (0.2, 0.5, 1, 2, 5, 10, 30)
"""Seconds before the next try; the last one again and again."""
PLAIN = {
    "Connection refused": "connection refused",
    "timed out": "no answer in time",
    "resolve": "its name is not known",
    "error code 401": "it wants credentials: set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD",
    "error code 403": "the credentials do not allow it",
    "No space left": "no space left on the disk",
}
"""What MLflow says in five lines, by a mark in it."""
TRIES = 3
"""Failures at the end of a stage after which it waits no longer."""


class OutboxSender:
    """Sends one journal's messages in order, and in idle moments what `missed` gives it to do."""

    def __init__(self, store: MlflowClientCache, journal: RunOutbox, missed: Generator[None]) -> None:
        self.journal = journal
        self._delivery = MlflowWriter(store, journal)
        self._missed = missed
        self._failures = 0
        self._reason = ""
        self._closing = False
        self._ended = False
        self._left = 0
        self._change = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="finetrack-outbox", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """Say that there is a message."""
        with self._change:
            self._change.notify_all()

    def run_id(self, patience: float) -> str | None:
        """Return the run's id; wait for it no longer than it takes to see that the store is away."""
        with self._change:
            self._change.wait_for(
                lambda: self._delivery.run_id or self._failures > 1 or self._ended, patience
            )
        return self._delivery.run_id

    def close(self, patience: float) -> bool:
        """Send what waits, for `patience` seconds at most, and say whether all of it went."""
        with self._change:
            self._closing = True
            self._change.notify_all()
        self._thread.join(min(1.0, patience))
        if self._thread.is_alive():
            tell(f"sending the last messages to MLflow at {self._place()} (at most {patience:.0f} s) ...")
            self._thread.join(patience)
        left = self._left if self._ended else len(self.journal.pending(limit=10_000))
        if left:
            tell(
                f"{left} messages for MLflow at {self._place()} wait in {self.journal.folder.parent}; "
                f"the next command sends them{self._reason}"
            )
        return not left

    def _run(self) -> None:
        try:
            self._work()
        finally:
            self._missed.close()
            self._left = len(self.journal.pending(limit=10_000))
            self.journal.release() if self._left else self.journal.discard()
            self._ended = True
            self.wake()

    def _work(self) -> None:
        tries = TRIES
        while True:
            pending = self.journal.pending()
            if pending and tries:
                tries = TRIES if self._send(pending) else tries - self._closing
            elif self._closing:
                return
            elif next(self._missed, self) is self:
                self._pause(None)

    def _send(self, pending: list[tuple[int, OutboxMessage]]) -> bool:
        try:
            self.journal.sync()
            send_some(self._delivery, pending)
        except Exception as error:
            self._failed(error)
            return False
        if self._failures > 1:
            tell(f"MLflow at {self._place()} answers again; what waited is being sent")
        self._failures = 0
        self.wake()
        return True

    def _failed(self, error: Exception) -> None:
        self._failures += 1
        self._reason = f" ({_short(error)})"
        self._delivery.doubt()
        if self._failures == 2:
            tell(
                f"MLflow at {self._place()} does not take messages{self._reason}: they wait in "
                f"{self.journal.folder.parent} and are sent later; the work goes on"
            )
        self.wake()
        self._pause(PAUSES[min(self._failures, len(PAUSES)) - 1])

    def _pause(self, seconds: float | None) -> None:
        """Wait for a message, or, after a failure, for the time to try again; closing ends both."""
        begin = time.monotonic()

        def over() -> bool:
            if self._closing:
                return True
            if seconds is None:
                return bool(self.journal.pending(limit=1))
            return time.monotonic() - begin >= seconds

        with self._change:
            self._change.wait_for(over, timeout=seconds)

    def _place(self) -> str:
        return str(self._delivery.store.target.uri)


def send_some(delivery: MlflowWriter, pending: list[tuple[int, OutboxMessage]]) -> None:
    """Send the first of the messages, together with as many after it as go in one call.

    A message that MLflow understands and refuses is dropped with a word: it would block all others for good.

    Raises:
        Exception: The store is away; the messages stay where they are.
    """
    kind = pending[0][1]["kind"]
    alike = itertools.takewhile(lambda item: item[1]["kind"] == kind == "metrics", pending)
    same = list(alike) or pending[:1]
    try:
        delivery.apply([message for _, message in same])
    except Exception as error:
        if is_outage(error) or kind in OPENING:
            raise
        delivery.doubt()
        if len(same) > 1:
            send_some(delivery, pending[:1])
            return
        tell(f"MLflow refused {_what(pending[0][1])}: {_short(error)}")
    delivery.journal.acknowledge(*same[-1])


def tell(sentence: str) -> None:
    """Say one sentence to the user, beside whatever a stage prints."""
    sys.stderr.write(f"tracking: {sentence}\n")


def _what(message: OutboxMessage) -> str:
    about = ", ".join(message.get("values", {})) or message.get("file", "")
    return f"{message['kind']} {about[:100]}".strip()


def _short(error: Exception) -> str:
    text = " ".join(str(error).split())
    return next((plain for mark, plain in PLAIN.items() if mark in text), text[:150])
