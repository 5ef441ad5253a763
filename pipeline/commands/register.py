"""Register the model of a run as the challenger (`finetrack register`)."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterable

from pipeline.compose.stage import plan_config
from pipeline.registry.register import register_model


def run_command(arguments: Namespace) -> Iterable[str]:
    """Return the lines to print.

    Args:
        arguments: `run`.

    Raises:
        UserError: It names no training that finished and was evaluated.
    """
    found = register_model(arguments.run, plan_config(()))
    if not found.is_new:
        return [f"{arguments.run} is {found.name}/{found.version} already"]
    return [
        f"{arguments.run} is {found.name}/{found.version} now, with the alias challenger",
        "compare it with the champion, and let it take its place: finetrack promote",
    ]
