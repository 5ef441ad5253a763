"""What a request may cost, and the error that refuses one."""

from __future__ import annotations

from typing import NamedTuple


class ServeLimits(NamedTuple):
    """Limits of the server.

    Attributes:
        max_bytes: Of the body of a request.
        max_pixels: Of one image, as its header says before it is decoded.
        max_images: In one request.
        max_requests: Predictions that are received, waiting or running at once; more are told to come later.
        max_memory: Bytes of decoded images, of all requests together; further ones wait until it is free.
        body_seconds: To receive the body of a request, from its first byte to its last.
    """

    max_bytes: int = 32 << 20
    max_pixels: int = 50_000_000
    max_images: int = 16
    max_requests: int = 64
    max_memory: int = 1 << 30
    body_seconds: float = 30.0


class RequestError(Exception):
    """Refuse a request.

    Attributes:
        status: The status code of HTTP.
        reason: One sentence for the client.
        closes: Whether the connection is closed, since the rest of the request was not read.
    """

    def __init__(self, status: int, reason: str, *, closes: bool = False) -> None:
        super().__init__(reason)
        self.status, self.reason, self.closes = status, reason, closes
