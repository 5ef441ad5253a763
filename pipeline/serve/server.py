"""Run the server: load the model, answer until SIGTERM or Ctrl-C, and finish what runs then."""

from __future__ import annotations

import contextlib
import logging
import signal
import socket
from collections.abc import Iterator
from typing import Final

import uvicorn

from pipeline.runtime.environment import is_debug_log
from pipeline.runtime.progress import print_notice
from pipeline.serve.application import build_application
from pipeline.serve.http_protocol import ServerProtocol
from pipeline.serve.inference.alias_watch import AliasWatch
from pipeline.serve.inference.find_model import ModelRequest, find_model
from pipeline.serve.inference.prediction_service import PredictionService
from pipeline.serve.listener import ServerAddress, find_own_names
from pipeline.serve.request_check import RequestCheck
from pipeline.serve.uploads.limits import ServeLimits

STOP_SECONDS: Final = 30
"""To answer the requests that run when the server is told to stop."""
MAX_CONNECTIONS: Final = 500
"""Connections at once: each one holds an open file."""
BACKLOG: Final = 512


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
    request: ModelRequest,
    listener: socket.socket,
    *,
    address: ServerAddress,
    limits: ServeLimits,
    poll_seconds: float,
) -> None:
    """Serve a model until a signal, and answer what was received before it.

    Args:
        request: The model. If it is named by an alias, the server follows the alias.
        listener: See `bind_address`.
        address: What was bound.
        limits: Of requests.
        poll_seconds: Between two looks at the alias; 0 for none.

    Raises:
        UserError: There is no such model, or its weights cannot be used.
    """
    found = find_model(request)
    service = PredictionService(found.model)
    with contextlib.ExitStack() as closing:
        closing.callback(service.close)
        if found.position is not None and poll_seconds:
            watch = AliasWatch(service, request, found.position, seconds=poll_seconds)
            watch.start()
            closing.callback(watch.stop)
        _announce(service, listener, address)
        run_application(service, listener, address=address, limits=limits)
    print_notice("serve: stopped")


def run_application(
    service: PredictionService, listener: socket.socket, *, address: ServerAddress, limits: ServeLimits
) -> None:
    """Answer requests until a signal; then the service is closed.

    Args:
        service: Predicts.
        listener: See `bind_address`.
        address: What was bound.
        limits: Of requests.
    """
    application = RequestCheck(
        build_application(service, limits),
        names=find_own_names(address),
        identify=lambda: service.identity.build_headers(),
        count=service.metrics.count_request,
    )
    logging.getLogger("uvicorn.error").setLevel(logging.INFO if is_debug_log() else logging.ERROR)
    config = uvicorn.Config(
        application,
        http=ServerProtocol,
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


def _announce(service: PredictionService, listener: socket.socket, address: ServerAddress) -> None:
    host = f"[{address.host}]" if ":" in address.host else address.host
    url = f"http://{host}:{listener.getsockname()[1]}/"
    print_notice(f"serve: {service.identity.describe()} answers at {url}")
    if not address.is_local:
        print_notice(
            "serve: every machine that reaches this address may use it, unencrypted and without a password; "
            "a reverse proxy can add both"
        )
