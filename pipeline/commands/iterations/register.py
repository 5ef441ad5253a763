"""Register the model of a run as the challenger (`finetrack register`)."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator

from pipeline.compose.stage import plan_config
from pipeline.registry.register import register_model
from pipeline.tracking.store.registry.registered_model import CHALLENGER


def run_command(arguments: Namespace) -> Iterator[str]:
    """Yield the lines to print.

    Args:
        arguments: `run`.

    Raises:
        UserError: It names no training that finished and was evaluated.
    """
    found = register_model(arguments.run, plan_config(()))
    when = "now" if found.is_new else "already"
    yield f"{arguments.run} is {found.name}/{found.version} {when}, with the alias {found.alias}"
    if found.note:
        yield found.note
    if found.alias == CHALLENGER:
        yield "compare it with the champion, and let it take its place: finetrack promote"
