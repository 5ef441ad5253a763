"""Run the server: bind the address, load the model, answer until SIGTERM or Ctrl-C, finish what runs."""

from __future__ import annotations

import contextlib
import logging
import signal
import socket
from collections.abc import Callable, Collection, Iterator
from typing import NamedTuple

import uvicorn

from pipeline.core.errors import UserError
from pipeline.runtime.environment import is_debug_log
from pipeline.runtime.progress import print_notice
from pipeline.serve.application import build_application
from pipeline.serve.http_protocol import TimedHeaderProtocol
from pipeline.serve.inference.alias_watch import AliasWatch
from pipeline.serve.inference.find_model import AliasPosition, ModelRequest, find_alias_position, find_model
from pipeline.serve.inference.model_thread import ModelToServe
from pipeline.serve.inference.prediction_service import PredictionService
from pipeline.serve.request_check import RequestCheck, find_own_names
from pipeline.serve.uploads.limits import ServeLimits

STOP_SECONDS = 30
"""To answer the requests that run when the server is told to stop."""
MAX_CONNECTIONS = 500
"""Connections at once: each one holds an open file."""
BACKLOG = 512


class ServerAddress(NamedTuple):
    """Where the server listens.

    Attributes:
        host: An address of this machine, or a name.
        port: 0 for any free one.
        names: Further names by which requests may call it.
    """

    host: str
    port: int
    names: Collection[str] = ()


class GracefulServer(uvicorn.Server):
    """uvicorn's server, which ends well after a signal: uvicorn would raise it again at the end."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop on SIGTERM, SIGINT and SIGHUP; restore the handlers at the end."""
        handled = [signal.SIGTERM, signal.SIGINT, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])]
        before = {number: signal.signal(number, self.handle_exit) for number in handled}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def serve_model(
    request: ModelRequest, address: ServerAddress, limits: ServeLimits, *, poll_seconds: float
) -> None:
    """Serve a model until a signal, and answer what was received before it.

    Args:
        request: The model. If it is named by an alias, the server follows the alias.
        address: Where to listen.
        limits: Of requests.
        poll_seconds: Between two looks at the alias; 0 for none.

    Raises:
        UserError: There is no such model, or the address cannot be used.
    """
    with _bind(address) as listener:
        find, position, model = _find(request)
        service = PredictionService(model)
        watch = _start_watch(service, request, find, position if poll_seconds else None, poll_seconds)
        port = listener.getsockname()[1]
        print_notice(f"serve: {service.identity.describe()} answers at {_format_url(address.host, port)}")
        _warn_about_reach(address.host)
        try:
            _run(service, listener, address, limits)
        finally:
            if watch is not None:
                watch.stop()
            service.close()
    print_notice("serve: stopped")


def _find(
    request: ModelRequest,
) -> tuple[Callable[[], tuple[AliasPosition, ModelToServe]], AliasPosition | None, ModelToServe]:
    """Find the model; also return how to find it again, and where its alias points, if it has one."""

    def find_again() -> tuple[AliasPosition, ModelToServe]:
        iteration, model = find_model(request)
        return (iteration.version or "", iteration.run_id), model

    iteration, model = find_model(request)
    position = (iteration.version or "", iteration.run_id) if iteration.kind == "alias" else None
    return find_again, position, model


def _start_watch(
    service: PredictionService,
    request: ModelRequest,
    find: Callable[[], tuple[AliasPosition, ModelToServe]],
    position: AliasPosition | None,
    seconds: float,
) -> AliasWatch | None:
    if position is None:
        return None
    watch = AliasWatch(
        service,
        position,
        find_position=lambda: find_alias_position(request),
        find_model=find,
        seconds=seconds,
    )
    watch.start()
    return watch


def _bind(address: ServerAddress) -> socket.socket:
    try:
        family, kind, protocol, _, place = socket.getaddrinfo(
            address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise UserError(f"--host {address.host} is no address of this machine ({error.strerror})") from None
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(place)
    except OSError as error:
        listener.close()
        raise UserError(
            f"port {address.port} of {address.host} cannot be used ({error.strerror}): choose another one "
            "with --port, or 0 for any free one"
        ) from None
    return listener


def _run(
    service: PredictionService, listener: socket.socket, address: ServerAddress, limits: ServeLimits
) -> None:
    application = RequestCheck(
        build_application(service, limits),
        names=find_own_names(address.host, address.names),
        identify=lambda: {
            "x-model-version": service.identity.version or "",
            "x-model-run": service.identity.run_id or "",
        },
        count=service.metrics.count_request,
    )
    logging.getLogger("uvicorn.error").setLevel(logging.INFO if is_debug_log() else logging.ERROR)
    config = uvicorn.Config(
        application,
        http=TimedHeaderProtocol,
        ws="none",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        limit_concurrency=MAX_CONNECTIONS,
        backlog=BACKLOG,
        timeout_graceful_shutdown=STOP_SECONDS,
    )
    GracefulServer(config).run([listener])


def _warn_about_reach(host: str) -> None:
    if not (host in {"localhost", "::1"} or host.startswith("127.")):
        print_notice(
            "serve: every machine that reaches this address may use it, unencrypted and without a password; "
            "a reverse proxy can add both"
        )


def _format_url(host: str, port: int) -> str:
    return f"http://{f'[{host}]' if ':' in host else host}:{port}/"
