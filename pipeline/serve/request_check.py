"""Refuse what another site's page lets a browser send; add headers to all answers, and count them."""

from __future__ import annotations

import ipaddress
import json
import time
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, MutableMapping
from typing import Any, Final

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

PATHS: Final = frozenset({"/", "/predict", "/health", "/metrics", "/openapi.json"})
"""Addresses that are counted apart."""
HEADERS: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
)


class RequestCheck:
    """An ASGI application around another one, which checks Host and Origin of each request.

    A web page may let a browser send requests to this server: under a name that it lets point here after it
    was loaded (DNS rebinding), which the Host header shows, or to the server's own name, which the Origin
    header shows. A Host that is an address cannot have been rebound. There is no CORS: no other site's page
    can read an answer.
    """

    def __init__(
        self,
        application: Application,
        *,
        names: Collection[str],
        identify: Callable[[], Mapping[str, str]] = dict,
        count: Callable[[str, int, float], None] = lambda _path, _status, _seconds: None,
    ) -> None:
        """Wrap an application.

        Args:
            application: What answers the requests that pass.
            names: Names of this server besides localhost and addresses; see `find_own_names`.
            identify: Returns further headers of every answer.
            count: Gets path, status and seconds of every answer.
        """
        self._application, self._identify, self._count = application, identify, count
        self._names = {"localhost", *(name.lower().rstrip(".") for name in names)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close"})
            return
        if scope["type"] != "http":
            await self._application(scope, receive, send)
            return
        refusal = self._find_refusal(scope["method"], scope["headers"])
        send = self._complete_answers(scope["path"], send)
        if refusal is None:
            await self._application(scope, receive, send)
        else:
            await _refuse(send, *refusal)

    def _complete_answers(self, path: str, send: Send) -> Send:
        """Return a function that adds headers to the answer, counts it, and sends it."""
        start = time.monotonic()

        async def send_completed(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                given = {key for key, _ in message.get("headers", ())}
                own = [(key.encode(), value.encode("latin-1")) for key, value in self._identify().items()]
                extra = [(key, value) for key, value in (*HEADERS, *own) if key not in given]
                message["headers"] = [*message.get("headers", ()), *extra]
                known = path if path in PATHS else "other"
                self._count(known, message["status"], time.monotonic() - start)
            await send(message)

        return send_completed

    def _find_refusal(self, method: str, headers: Iterable[tuple[bytes, bytes]]) -> tuple[int, str] | None:
        given: dict[bytes, list[bytes]] = {}
        for key, value in headers:
            given.setdefault(key, []).append(value)
        if b"content-length" in given and b"transfer-encoding" in given:  # a proxy may see another end of it
            return 400, "the request states its length twice: by Content-Length and by Transfer-Encoding"
        hosts, origins = given.get(b"host", []), given.get(b"origin", [])
        if len(hosts) != 1 or not self._is_own_name(_split_port(hosts[0].decode("latin-1"))):
            return 421, (
                "this server is not known under the name in the Host header: use its address, or start it "
                "with --allow-host NAME"
            )
        foreign = any(origin.partition(b"://")[2] != hosts[0] for origin in origins)
        cross_site = method not in {"GET", "HEAD"} and given.get(b"sec-fetch-site") == [b"cross-site"]
        if foreign or cross_site:  # a link to the page at / is allowed
            return 403, (
                "requests from the pages of other sites are refused; a reverse proxy must pass the Host "
                "header on"
            )
        return None

    def _is_own_name(self, name: str) -> bool:
        if name.lower().rstrip(".") in self._names:
            return True
        try:
            ipaddress.ip_address(name.strip("[]"))
        except ValueError:
            return False
        return True


def _split_port(host: str) -> str:
    name, _, port = host.rpartition(":")
    return name if port.isdecimal() and (name.startswith("[") or ":" not in name) else host


async def _refuse(send: Send, status: int, reason: str) -> None:
    headers = [(b"content-type", b"application/json"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send(
        {"type": "http.response.body", "body": json.dumps({"error": reason}, allow_nan=False).encode()}
    )
