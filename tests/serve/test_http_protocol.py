"""Connections whose headers do not come are closed, others stay, and a close loses no answer."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time

import pytest
import uvicorn

from pipeline.serve import http_protocol
from pipeline.serve.http_protocol import ServerProtocol


async def answer(scope, receive, send):
    if (b"x-refuse", b"1") in scope["headers"]:
        await send({"type": "http.response.start", "status": 413, "headers": [(b"connection", b"close")]})
        await send({"type": "http.response.body", "body": b"too large"})
        return
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
        uvicorn.Config(answer, http=ServerProtocol, ws="none", log_config=None, lifespan="off")
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


HEAD = b"POST / HTTP/1.1\r\nHost: h\r\n"


def send_until_closed(client, began, *, seconds):
    with contextlib.suppress(ConnectionError):
        while time.monotonic() - began < 10:
            time.sleep(seconds)
            client.sendall(b"0")


def read_all(client):
    return b"".join(iter(lambda: client.recv(1000), b""))


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"Content-Length: -1\r\n\r\n", b"400"),
        (b"Content-Length: 4000000\r\nX-Refuse: 1\r\n\r\n", b"413"),
        (b"Transfer-Encoding: chunked\r\nX-Refuse: 1\r\n\r\n", b"413"),
    ],
)
@pytest.mark.fault(13, "an answer lost when the server closes while the client still sends")
def test_an_answer_before_the_end_of_a_request_arrives(port, head, status):
    with connected(port) as client:
        client.sendall(HEAD + head)
        time.sleep(0.1)  # the server has answered
        for _ in range(4):
            client.sendall(bytes(1000))
            time.sleep(0.02)
        assert read_all(client).startswith(b"HTTP/1.1 " + status)


@pytest.mark.parametrize(("idle", "total"), [(0.3, 30), (30, 0.3)])
def test_after_an_answer_the_rest_of_a_request_has_its_time(port, monkeypatch, idle, total):
    monkeypatch.setattr(http_protocol, "LINGER_IDLE_SECONDS", idle)
    monkeypatch.setattr(http_protocol, "LINGER_SECONDS", total)
    began = time.monotonic()
    with connected(port) as client:
        client.sendall(HEAD + b"Content-Length: 4000000\r\nX-Refuse: 1\r\n\r\n")
        assert b"413" in read_all(client)
        send_until_closed(client, began, seconds=0.05 if idle > total else 0.5)
    assert 0.2 < time.monotonic() - began < 5


def test_a_request_that_came_whole_is_closed_at_once(port):
    began = time.monotonic()
    with connected(port) as client:
        client.sendall(HEAD + b"Content-Length: 2\r\nConnection: close\r\n\r\nab")
        assert b"204" in read_all(client)
        send_until_closed(client, began, seconds=0.01)
    assert time.monotonic() - began < 1.5


def test_after_an_answer_the_rest_of_a_request_is_dropped_up_to_a_size(port, monkeypatch):
    monkeypatch.setattr(http_protocol, "LINGER_BYTES", 1 << 20)
    began = time.monotonic()
    with connected(port) as client:
        client.sendall(HEAD + b"Content-Length: 400000000\r\nX-Refuse: 1\r\n\r\n")
        assert b"413" in read_all(client)
        with pytest.raises(ConnectionError):
            client.sendall(bytes(300_000_000))
    assert time.monotonic() - began < 1.5
