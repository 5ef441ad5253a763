"""Serve a model over HTTP (`finetrack serve`)."""

from __future__ import annotations

import os
import socket
from argparse import Namespace
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from pipeline.commands.models.prediction_settings import SETTINGS, check_limits, check_prediction_settings
from pipeline.core.paths import expand_home
from pipeline.serve.listener import ServerAddress, bind_address
from pipeline.serve.uploads.limits import ServeLimits

MEBIBYTE = 1 << 20
_LIMITS: Final[Mapping[str, tuple[float, float]]] = {
    "port": (0, 65535),
    "poll": (0, 86_400),
    "max_mb": (0.001, 1024),
    "max_megapixels": (0.001, 300),
    "max_images": (1, 1024),
}


def run_command(arguments: Namespace) -> Iterable[str]:
    """Serve until SIGTERM or Ctrl-C.

    Args:
        arguments: See the command `serve` in pipeline/commands/command_line/model_commands.py.

    Raises:
        UserError: There is no such model, its weights cannot be used, or the address is in use.
    """
    check_limits(arguments, _LIMITS)
    check_prediction_settings(arguments)
    address = ServerAddress(arguments.host, arguments.port, tuple(arguments.allow_host))
    with bind_address(address) as listener:
        _serve(arguments, address, listener)
    return ()


def _serve(arguments: Namespace, address: ServerAddress, listener: socket.socket) -> None:
    pixels = round(arguments.max_megapixels * 1e6)
    os.environ["OPENCV_IO_MAX_IMAGE_PIXELS"] = str(pixels)  # OpenCV reads it when it is imported
    from pipeline.compose.stage import plan_config
    from pipeline.serve.inference.find_model import ModelRequest
    from pipeline.serve.server import serve_model

    settings = {name: getattr(arguments, name) for name in SETTINGS}
    serve_model(
        ModelRequest(_resolve_file(arguments), plan_config(()), settings),
        listener,
        address=address,
        limits=ServeLimits(round(arguments.max_mb * MEBIBYTE), pixels, arguments.max_images),
        poll_seconds=arguments.poll,
    )


def _resolve_file(arguments: Namespace) -> str:
    """Return the reference; a file is looked for where the user typed it."""
    from pipeline.iterations.resolve_reference import is_weights_path

    name = str(arguments.model)
    return str(Path(arguments.start, expand_home(name))) if is_weights_path(name) else name
