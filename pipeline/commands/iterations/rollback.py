"""Restore the champion before the present one (`finetrack rollback`)."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterable

from pipeline.compose.stage import plan_config
from pipeline.registry.rollback import restore_champion


def run_command(arguments: Namespace) -> Iterable[str]:
    """Return the lines to print.

    Args:
        arguments: `reason`.

    Raises:
        UserError: There was no champion before.
    """
    done = restore_champion(plan_config(()), reason=(arguments.reason or "").strip())
    instead = f", instead of {done.name}/{done.replaced}" if done.replaced else ""
    return [f"{done.name}/{done.version} is the champion again{instead}"]
