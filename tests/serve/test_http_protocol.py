"""Connections whose headers do not come are closed; others stay."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time

import pytest
import uvicorn

from pipeline.serve import http_protocol
from pipeline.serve.http_protocol import TimedHeaderProtocol


async def answer(_scope, receive, send):
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body", "body": b""})


@pytest.fixture
def port(monkeypatch):
    monkeypatch.setattr(http_protocol, "HEADER_SECONDS", 0.3)
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    server = uvicorn.Server(
        uvicorn.Config(answer, http=TimedHeaderProtocol, ws="none", log_config=None, lifespan="off")
    )
    thread = threading.Thread(target=lambda: asyncio.run(server.serve([listener])))
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield listener.getsockname()[1]
    server.should_exit = True
    thread.join()


@contextlib.contextmanager
def connected(port):
    with socket.create_connection(("127.0.0.1", port), 5) as client:
        yield client


@pytest.mark.parametrize("start", [b"", b"GET / HTTP/1.1\r\nHost: h\r\nX-Slow: "])
@pytest.mark.fault(13, "clients of the server that send slowly or nothing")
def test_headers_that_do_not_come_close_the_connection(port, start):
    with connected(port) as client:
        client.sendall(start)
        began = time.monotonic()
        with contextlib.suppress(ConnectionError):
            assert client.recv(100) == b""
        assert 0.2 < time.monotonic() - began < 4


@pytest.mark.fault(13, "clients of the server that send slowly or nothing")
def test_headers_of_a_second_request_have_the_same_time(port):
    with connected(port) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        assert b"204" in client.recv(1000)
        client.sendall(b"GET / HT")
        with contextlib.suppress(ConnectionError):
            assert client.recv(100) == b""


def test_a_slow_body_is_not_the_protocols_business(port):
    with connected(port) as client:
        client.sendall(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\na")
        time.sleep(0.5)
        client.sendall(b"b")
        assert b"204" in client.recv(1000)
