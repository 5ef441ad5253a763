"""Restore an iteration in a new folder, and prove it (`finetrack restore RUN DIR`)."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path

from pipeline.compose.stage import plan_config
from pipeline.core.paths import expand_home
from pipeline.iterations.resolve_reference import resolve_reference
from pipeline.restore.restore_iteration import restore_iteration
from pipeline.tracking.target import TrackingTarget


def run_command(arguments: Namespace) -> Iterator[str]:
    """Restore an iteration.

    Args:
        arguments: `run` (see `resolve_reference`), `folder` as typed in the folder `start`, and `rerun`.

    Yields:
        The lines to print.

    Raises:
        UserError: It cannot be restored, or a check failed.
    """
    config = plan_config(())
    where = config.tracking
    target = TrackingTarget(where.uri, where.experiment, where.timeout)
    iteration = resolve_reference(arguments.run, target, registry_name=config.registry.name)
    folder = Path(arguments.start, expand_home(arguments.folder)).resolve()
    for line in restore_iteration(iteration, target, folder, rerun=arguments.rerun):
        yield f"restore: {line}"
