"""Receive the body of a request within its limits of bytes and time."""

from __future__ import annotations

import asyncio

from starlette.requests import ClientDisconnect, Request

from pipeline.serve.uploads.limits import RequestError, ServeLimits


async def receive_body(request: Request, limits: ServeLimits) -> bytes:
    """Receive the whole body.

    Raises:
        RequestError: It has more than `limits.max_bytes` bytes (413), its length is not a number (400), or it
            takes more than `limits.body_seconds` (408).
        ClientDisconnect: The client is gone.
    """
    stated = request.headers.get("content-length", "0")
    if not (stated.isascii() and stated.isdecimal()):
        raise RequestError(400, "the Content-Length is not a number", closes=True)
    too_large = RequestError(
        413, f"the request has more than {limits.max_bytes / 2**20:.3g} MiB: send less at once", closes=True
    )
    if int(stated) > limits.max_bytes:
        raise too_large
    try:
        async with asyncio.timeout(limits.body_seconds):
            return await _receive(request, limits.max_bytes, too_large)
    except TimeoutError:
        raise RequestError(
            408, f"the request was not received within {limits.body_seconds:g} s", closes=True
        ) from None


async def _receive(request: Request, most: int, too_large: RequestError) -> bytes:
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > most:
            raise too_large
        chunks.append(chunk)
    return b"".join(chunks)


async def wait_for_disconnect(request: Request) -> None:
    """Return when the client is gone, or was answered. Call it once the body is received."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


__all__ = ["ClientDisconnect", "receive_body", "wait_for_disconnect"]
