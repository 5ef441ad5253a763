"""The connection of a process of a training to the one that watches it: what is said, and that it lives.

Messages are JSON; the job comes first, pickled by the process that started this one. Standard library only.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Mapping
from multiprocessing.connection import Connection
from typing import Any, Final

ALIVE_SECONDS: Final = 1.0
"""Time between two signs of life, which a thread sends from the start, before anything slow is imported."""
END_ANSWER: Final = b"end"
GO_ON_ANSWER: Final = b"go on"


class RankChannel:
    """The connection of a process to the one that watches it. Any thread may send."""

    def __init__(self, descriptor: int) -> None:
        self._connection, self._lock = Connection(descriptor), threading.Lock()

    def receive_job(self) -> tuple[Any, int]:
        """Receive the training, and the port of the process group's store on the first machine."""
        job, port = self._connection.recv()
        return job, port

    def start_signs_of_life(self) -> None:
        """Send a sign of life each second from now on. Where nobody reads them, this process ends."""
        threading.Thread(target=self._send_signs, name="sign-of-life", daemon=True).start()

    def send(self, kind: str, **content: Any) -> None:
        """Send a message."""
        contents = json.dumps({"kind": kind, **content}, allow_nan=False, default=str).encode()
        with self._lock:
            self._connection.send_bytes(contents)

    def report_epoch(self, row: Mapping[str, float]) -> bool:
        """Report an epoch, and return whether the training ends after it."""
        self.send("epoch", row=dict(row))
        return self._connection.recv_bytes() == END_ANSWER

    def _send_signs(self) -> None:
        while True:
            try:
                self.send("alive")
            except OSError:
                os._exit(1)
            time.sleep(ALIVE_SECONDS)
