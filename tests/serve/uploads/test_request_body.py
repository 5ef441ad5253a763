"""A body is received within its limits of bytes and time."""

from __future__ import annotations

import asyncio

import pytest
from starlette.requests import ClientDisconnect, Request

from pipeline.serve.uploads.limits import RequestError, ServeLimits
from pipeline.serve.uploads.request_body import receive_body

LIMITS = ServeLimits(max_bytes=10, body_seconds=0.05)


def receive(*chunks: bytes, pause=0.0, gone=False, length=None):
    waiting = list(chunks)

    async def next_message():
        await asyncio.sleep(pause)
        if gone and not waiting:
            return {"type": "http.disconnect"}
        body = waiting.pop(0)
        return {"type": "http.request", "body": body, "more_body": bool(waiting) or gone}

    headers = [] if length is None else [(b"content-length", length)]
    request = Request({"type": "http", "method": "POST", "headers": headers}, next_message)
    return asyncio.run(receive_body(request, LIMITS)), waiting


def refusal(*chunks: bytes, **how):
    with pytest.raises(RequestError) as refused:
        receive(*chunks, **how)
    return refused.value.status


def test_chunks_are_one_body():
    assert receive(b"abc", b"", b"defghij") == (b"abcdefghij", [])


@pytest.mark.fault(13, "an upload to the server that is too large")
def test_a_body_that_is_too_large_is_refused_whatever_length_it_stated():
    assert refusal(b"abcdef", b"ghijk", length=b"3") == 413


@pytest.mark.fault(13, "an upload to the server that is too large")
def test_a_client_that_never_ends_is_cut_off():
    assert refusal(*[b"abcdef"] * 1000) == 413


def test_a_length_above_the_limit_is_refused_before_the_body_is_received():
    assert refusal(length=b"11") == 413


@pytest.mark.fault(13, "clients of the server that send slowly or nothing")
def test_a_slow_client_is_cut_off():
    assert refusal(b"a", b"b", b"c", pause=0.03) == 408


@pytest.mark.parametrize("length", [b"-1", b"x", b"1e3", b"\xb2"])
def test_a_length_that_is_no_number_is_refused(length):
    assert refusal(b"a", length=length) == 400


def test_a_client_that_is_gone_is_no_empty_body():
    with pytest.raises(ClientDisconnect):
        receive(b"abc", gone=True)
