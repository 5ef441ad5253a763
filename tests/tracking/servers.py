"""A real MLflow server, and a proxy before it that injects faults."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from contextlib import closing
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread


def find_free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class MlflowServer:
    """A real MLflow server with its own database and folder, which can be killed and restarted."""

    def __init__(self, folder) -> None:
        self.folder = folder
        self.port = find_free_port()
        self.uri = f"http://127.0.0.1:{self.port}"
        self.process = None

    def start(self):
        if self.process:
            return
        command = [Path(sys.executable).with_name("mlflow"), "server", "--host", "127.0.0.1"]
        store = ["--backend-store-uri", f"sqlite:///{self.folder}/server.db", "--artifacts-destination"]
        more = [f"{self.folder}/artifacts", "--port", str(self.port), "--workers", "1"]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "start_new_session": True}
        environment = os.environ | {"MLFLOW_DISABLE_TELEMETRY": "true"}
        self.process = subprocess.Popen([*command, *store, *more], env=environment, cwd=self.folder, **quiet)
        for _ in range(600):
            try:
                urllib.request.urlopen(f"{self.uri}/health", timeout=1).close()
                return
            except OSError:
                time.sleep(0.2)
        raise TimeoutError("the MLflow server does not start")

    def kill(self):
        if self.process:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None


class FaultyProxy:
    """Passes requests on to a server, except for those whose `METHOD path` matches a fault.

    Faults are patterns with what happens: `lose answer` passes the request on and closes the connection,
    `swallow` answers as if all were well without passing it on, `answer late` after four seconds. Each
    happens `times` times.
    """

    def __init__(self, server, faults=None, *, times=1, host=None) -> None:
        self.faults = faults or {}
        self.times = times
        self.host = host
        self.happened = Counter()
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def pass_on(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                fault = proxy.choose_fault(f"{self.command} {self.path}")
                status, headers, answer = (200, {}, b"{}") if fault == "swallow" else proxy.ask(self, body)
                if fault == "answer late":
                    time.sleep(4)
                if fault == "lose answer":
                    self.close_connection = True
                    return
                self.send_response(status)
                for name in ("Content-Type",):
                    self.send_header(name, headers.get(name, "application/json"))
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = pass_on

            def log_message(self, *_):  # noqa: ANN002
                pass

        self.server = server
        self.listener = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.listener.daemon_threads = True
        self.uri = f"http://127.0.0.1:{self.listener.server_port}"
        Thread(target=self.listener.serve_forever, daemon=True).start()

    def choose_fault(self, request):
        for pattern, fault in self.faults.items():
            if re.search(pattern, request) and self.happened[pattern] < self.times:
                self.happened[pattern] += 1
                return fault
        return None

    def ask(self, request, body):
        connection = HTTPConnection("127.0.0.1", self.server.port, timeout=30)
        headers = {name: value for name, value in request.headers.items() if name.lower() != "host"}
        headers["Host"] = self.host or f"127.0.0.1:{self.server.port}"
        with closing(connection):
            connection.request(request.command, request.path, body, headers)
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()

    def close(self):
        self.listener.shutdown()
        self.listener.server_close()
