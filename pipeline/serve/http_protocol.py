"""uvicorn's HTTP protocol with what it lacks: a time limit for headers, and a close that loses no answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

HEADER_SECONDS: Final = 10.0
"""From the connection, or the first byte of a further request, to the end of the headers."""
LINGER_SECONDS: Final = 20.0
"""After an answer that came before the end of its request: to receive the rest, which is dropped."""
LINGER_IDLE_SECONDS: Final = 2.0
"""Of these, without a byte of it."""
LINGER_BYTES: Final = 256 << 20
"""Of the rest."""


class LingeringTransport:
    """A transport that receives and drops the rest of a request before it closes.

    Where a socket is closed while bytes of the client are on their way, the system answers them with a
    reset, and the client may lose an answer that it has not read yet (RFC 9112, 9.6). So only the sending
    side is closed at once.
    """

    def __init__(
        self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop, is_sending: Callable[[], bool]
    ) -> None:
        """Wrap a transport.

        Args:
            transport: Whose `close` is replaced.
            loop: For the time limits.
            is_sending: Returns whether more of a request may come.
        """
        self._transport, self._loop, self._is_sending = transport, loop, is_sending
        self._end: float | None = None
        self._size = 0
        self._timer: asyncio.TimerHandle | None = None

    def __getattr__(self, name: str) -> Any:
        """Return any other attribute of the transport."""
        return getattr(self._transport, name)

    @property
    def lingers(self) -> bool:
        """Whether what is received has no meaning any more."""
        return self._end is not None

    def is_closing(self) -> bool:
        """Return whether nothing more can be sent."""
        return self.lingers or self._transport.is_closing()

    def close(self) -> None:
        """Close; see the class."""
        if self.is_closing():
            return
        if not self._is_sending():
            self._transport.close()
            return
        self._end = self._loop.time() + LINGER_SECONDS
        self._wait(self._end)
        self._transport.resume_reading()
        with suppress(OSError):  # the client has just reset the connection
            self._transport.write_eof()

    def drop(self, data: bytes) -> None:
        """Drop a part of the rest, and wait for further ones within the limits."""
        self._size += len(data)
        if self._end is None or self._size > LINGER_BYTES:
            self._transport.close()
        else:
            self._wait(self._end)

    def _wait(self, end: float) -> None:
        self.stop()
        self._timer = self._loop.call_at(
            min(self._loop.time() + LINGER_IDLE_SECONDS, end), self._transport.close
        )

    def stop(self) -> None:
        """Wait no longer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class ServerProtocol(H11Protocol):
    """Closes a connection whose headers do not come: each one holds a file that others need."""

    transport: LingeringTransport  # type: ignore[assignment]
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the clock with the connection."""
        super().connection_made(LingeringTransport(transport, self.loop, self._is_sending))  # type: ignore[arg-type]
        self._start_clock()

    def data_received(self, data: bytes) -> None:
        """Start the clock with the first byte of a further request, and stop it at the end of the headers."""
        if self.transport.lingers:
            self.transport.drop(data)
            return
        if self._deadline is None and not self._has_request():
            self._start_clock()
        super().data_received(data)
        if self._has_request():
            self._stop_clock()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the clocks."""
        self._stop_clock()
        self.transport.stop()
        super().connection_lost(exc)

    def _has_request(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _is_sending(self) -> bool:
        return self.conn.their_state in {h11.SEND_BODY, h11.ERROR}

    def _start_clock(self) -> None:
        self._deadline = self.loop.call_later(HEADER_SECONDS, self._give_up)

    def _stop_clock(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _give_up(self) -> None:
        self._deadline = None
        if not self._has_request() and not self.transport.is_closing():
            self.transport.close()
