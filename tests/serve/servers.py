"""A real `python -m pipeline serve`, and a client that speaks HTTP to it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, NamedTuple

from tests.trainings import FOUNDATION

ROOT = Path(__file__).parents[2]
SETTINGS = {"imgsz": 64, "conf": 0.05, "iou": 0.7, "max_det": 20, "batch": 8, "device": "cpu", "threads": 1}


class Answer(NamedTuple):
    """An answer over HTTP."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body."""
        return json.loads(self.body)


class ServerProcess:
    """A server in a process of its own."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self.process, self._log = process, log
        self.port = 0

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}/"

    @property
    def log(self) -> str:
        """What it wrote."""
        return self._log.read_text()

    def connect(self, timeout: float = 60) -> HTTPConnection:
        """Open a connection."""
        return HTTPConnection("127.0.0.1", self.port, timeout=timeout)

    def ask(self, path: str, body: bytes | None = None, method: str = "", **headers: str) -> Answer:
        """Send one request."""
        connection = self.connect()
        try:
            return ask(connection, path, body, method, **headers)
        finally:
            connection.close()

    def read_metric(self, name: str) -> float:
        """Return a metric without labels."""
        text = self.ask("/metrics").body.decode()
        return float(re.search(rf"^{name} (\S+)$", text, re.MULTILINE)[1])

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send it a signal, and return its exit status."""
        self.process.send_signal(number)
        return self.process.wait(60)


def ask(
    connection: HTTPConnection, path: str, body: bytes | None = None, method: str = "", **headers: str
) -> Answer:
    """Send one request over a connection that stays open."""
    named = {key.replace("_", "-"): value for key, value in headers.items()}
    connection.request(method or ("GET" if body is None else "POST"), path, body, named)
    response = connection.getresponse()
    return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())


@contextmanager
def running_server(
    folder: Path, *words: str, model: str = str(FOUNDATION), project: Path = ROOT, **variables: str
) -> Iterator[ServerProcess]:
    """Start a server on any free port, and end it after the block.

    Args:
        folder: For its log.
        words: Further ones of its command line.
        model: What it serves.
        project: The folder of the project.
        variables: Of its environment.
    """
    given = [f"--{name.replace('_', '-')}={value}" for name, value in SETTINGS.items()]
    log = folder / "serve.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "pipeline", "serve", "--model", model, "--port=0", *given, *words],
            cwd=project,
            env=os.environ | variables,
            stdout=output,
            stderr=output,
        )
    server = ServerProcess(process, log)
    try:
        for _ in range(600):
            if match := re.search(r"answers at http://\S+:(\d+)/", server.log):
                break
            assert process.poll() is None, server.log
            time.sleep(0.1)
        server.port = int(match[1])
        yield server
    finally:
        process.kill()
        process.wait()
