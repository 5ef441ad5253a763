"""Whom the server answers: names that are its own, and no pages of other sites."""

from __future__ import annotations

import asyncio

import pytest

from pipeline.serve.listener import ServerAddress, find_own_names
from pipeline.serve.request_check import RequestCheck


def ask(method="GET", *, path="/", names=("here",), **headers):
    """Return the status, and what was counted."""
    sent, counted = [], []

    async def answer(_scope, _receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def send(message):
        sent.append(message)

    given = [(key.replace("_", "-").encode(), value.encode()) for key, value in headers.items()]
    check = RequestCheck(
        answer, names=names, identify=lambda: {"x-model-run": "r"}, count=lambda *row: counted.append(row)
    )
    asyncio.run(check({"type": "http", "method": method, "path": path, "headers": given}, None, send))
    assert (b"x-model-run", b"r") in sent[0]["headers"]
    return sent[0]["status"], counted[0][:2]


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "localhost:8000",
        "LOCALHOST.",
        "127.0.0.1:8000",
        "192.168.0.7",
        "[::1]:8000",
        "[::1]",
        "here:80",
    ],
)
def test_own_names_and_addresses_are_answered(host):
    assert ask(host=host)[0] == 200


@pytest.mark.fault(15, "a web page sends a browser to the server under another name")
@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8000",
        "127.0.0.1.evil.example",
        "localhost.evil",
        "here.evil",
        "",
        "::1x",
    ],
)
def test_other_names_are_refused(host):
    assert ask(host=host)[0] == 421


@pytest.mark.fault(15, "a request whose length two programs may read differently")
def test_a_request_with_two_lengths_is_refused():
    lengths = {"content_length": "5", "transfer_encoding": "chunked"}
    assert ask("POST", path="/predict", host="localhost", **lengths) == (400, ("/predict", 400))
    assert ask("POST", host="localhost", content_length="5")[0] == 200
    assert ask("POST", host="localhost", transfer_encoding="chunked")[0] == 200


def test_a_request_without_a_host_is_refused():
    assert ask()[0] == 421


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://localhost:8000", 200),
        ("https://localhost:8000", 200),
        ("http://evil.example", 403),
        ("http://localhost:9000", 403),
        ("null", 403),
    ],
)
def test_only_pages_of_the_server_itself_may_send(origin, status):
    assert ask("POST", host="localhost:8000", origin=origin)[0] == status


@pytest.mark.parametrize(("method", "status"), [("GET", 200), ("POST", 403)])
def test_another_site_may_link_to_the_page_and_no_more(method, status):
    assert ask(method, host="localhost", sec_fetch_site="cross-site")[0] == status


@pytest.mark.parametrize(("path", "counted"), [("/predict", "/predict"), ("/x{}\n", "other")])
def test_every_answer_is_counted_by_known_addresses(path, counted):
    assert ask(host="localhost", path=path)[1] == (counted, 200)
    assert ask(host="evil", path=path)[1] == (counted, 421)


def test_beyond_this_machine_its_own_name_is_known():
    assert find_own_names(ServerAddress("127.0.0.1", 1, ("given",))) == {"127.0.0.1", "given"}
    assert len(find_own_names(ServerAddress("0.0.0.0", 1))) > 1
