"""Serve a model over HTTP (`finetrack serve`)."""

from __future__ import annotations

import os
from argparse import Namespace
from collections.abc import Iterable

from pipeline.core.errors import UserError

MEBIBYTE = 1 << 20
SETTINGS = ("imgsz", "conf", "iou", "max_det", "batch", "device", "threads")


def run_command(arguments: Namespace) -> Iterable[str]:
    """Serve until SIGTERM or Ctrl-C.

    Args:
        arguments: See the command `serve` in pipeline/commands/parser.py.

    Raises:
        UserError: There is no such model, its weights cannot be used, or the address is in use.
    """
    _check(arguments)
    pixels = round(arguments.max_megapixels * 1e6)
    os.environ["OPENCV_IO_MAX_IMAGE_PIXELS"] = str(pixels)  # OpenCV reads it when it is imported
    from pipeline.compose.stage import plan_config
    from pipeline.serve.inference.find_model import ModelRequest
    from pipeline.serve.server import ServerAddress, serve_model
    from pipeline.serve.uploads.limits import ServeLimits

    settings = {name: getattr(arguments, name) for name in SETTINGS}
    limits = ServeLimits(round(arguments.max_mb * MEBIBYTE), pixels, arguments.max_images)
    serve_model(
        ModelRequest(arguments.model, plan_config(()), settings),
        ServerAddress(arguments.host, arguments.port, tuple(arguments.allow_host)),
        limits,
        poll_seconds=arguments.poll,
    )
    return ()


def _check(arguments: Namespace) -> None:
    allowed = {
        "port": (0, 65535),
        "conf": (0, 1),
        "iou": (0, 1),
        "imgsz": (32, 8192),
        "max_det": (1, 10_000),
        "batch": (1, 1024),
        "threads": (1, 1024),
        "poll": (0, 86_400),
        "max_mb": (0.001, 1024),
        "max_megapixels": (0.001, 300),
        "max_images": (1, 1024),
    }
    for name, (low, high) in allowed.items():
        value = getattr(arguments, name)
        if value is not None and not low <= value <= high:
            raise UserError(f"--{name.replace('_', '-')} {value} is not allowed: give {low} to {high}")
