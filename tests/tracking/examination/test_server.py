"""A tracking server that is asked: version and clock; one that is away, hangs or refuses is a sentence."""

import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from pipeline.tracking.examination.server import ServerRuns, ask_server
from pipeline.tracking.store.tracked_runs import TrackingUnavailableError
from pipeline.tracking.target import TrackingTarget
from tests.tracking.servers import find_free_port


@pytest.mark.slow
def test_a_server_says_its_version_and_time(server):
    import mlflow

    server.start()
    answer = ask_server(TrackingTarget(server.uri, "absent"))
    assert answer.version == mlflow.__version__
    assert abs(answer.clock_ahead) < 5
    assert not answer.has_experiment
    assert ServerRuns(TrackingTarget(server.uri, "absent")).list_running() == []


@pytest.mark.fault(6, "the server is away or dies")
def test_a_server_that_is_away_is_a_sentence():
    with pytest.raises(TrackingUnavailableError, match="refused"):
        ask_server(TrackingTarget(f"http://127.0.0.1:{find_free_port()}", "any"))


@pytest.mark.fault(6, "a server that accepts connections and never answers")
def test_a_server_that_hangs_costs_seconds():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        start = time.monotonic()
        with pytest.raises(TrackingUnavailableError, match="in time"):
            ask_server(TrackingTarget(f"http://127.0.0.1:{listener.getsockname()[1]}", "any", 1.0))
        assert time.monotonic() - start < 10


class Doorkeeper(BaseHTTPRequestHandler):
    """A proxy before the server that lets nobody in, as nginx answers a wrong password."""

    def do_GET(self):
        self.send_response(401)
        self.send_header("WWW-Authenticate", "Basic")
        self.end_headers()
        self.wfile.write(b"<html><h1>401 Authorization Required</h1></html>")

    def log_message(self, *_: object):
        pass


@pytest.mark.fault(15, "a wrong password")
def test_a_server_that_lets_nobody_in_asks_for_credentials(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "me")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "secret-of-mine")
    with HTTPServer(("127.0.0.1", 0), Doorkeeper) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with pytest.raises(TrackingUnavailableError, match="MLFLOW_TRACKING_PASSWORD") as failure:
            ask_server(TrackingTarget(f"http://127.0.0.1:{server.server_port}", "any"))
        server.shutdown()
    assert "secret-of-mine" not in str(failure.value)
