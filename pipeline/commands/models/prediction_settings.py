"""How a command predicts: the options that `predict` and `serve` share, and what they may be."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping
from typing import Final

from pipeline.core.errors import UserError

SETTINGS: Final = ("imgsz", "conf", "iou", "max_det", "batch", "device", "threads", "tile", "overlap")
_LIMITS: Final[Mapping[str, tuple[float, float]]] = {
    "imgsz": (32, 8192),
    "conf": (0, 1),
    "iou": (0, 1),
    "max_det": (1, 100_000),
    "batch": (1, 1024),
    "threads": (1, 1024),
    "overlap": (0.01, 0.8),
}


def check_prediction_settings(arguments: Namespace) -> None:
    """Check those of `SETTINGS` that are numbers; None where the user sets nothing, and a tile of 0 for none.

    Raises:
        UserError: One of them is outside its limits.
    """
    check_limits(arguments, _LIMITS)
    tile = arguments.tile
    if tile is not None and tile != 0 and not 32 <= tile <= 8192:
        raise UserError(f"--tile {tile} is not allowed: give 32 to 8192, or 0 for no tiles")


def check_limits(arguments: Namespace, limits: Mapping[str, tuple[float, float]]) -> None:
    """Check that numbers are within their limits, both included; None is allowed.

    Args:
        arguments: Of the command line.
        limits: The smallest and the largest value by the name of the argument.

    Raises:
        UserError: One of them is not.
    """
    for name, (low, high) in limits.items():
        value = getattr(arguments, name)
        if value is not None and not low <= value <= high:
            raise UserError(f"--{name.replace('_', '-')} {value} is not allowed: give {low} to {high}")
