"""List the iterations of the project as a table (`finetrack runs`)."""

from __future__ import annotations

import json
import shutil
from argparse import Namespace
from collections.abc import Iterator, Sequence

from pipeline.compose.stage import plan_config
from pipeline.core.errors import UserError
from pipeline.iterations.iteration import Iteration
from pipeline.iterations.list_iterations import KnownIterations, list_known_iterations
from pipeline.iterations.select_iterations import parse_filter, select_iterations, sort_iterations
from pipeline.iterations.table.runs_json import describe_iterations
from pipeline.iterations.table.runs_table import TABLE_WIDTH, describe_table, format_runs_table
from pipeline.runtime.output_encoding import needs_ascii_json
from pipeline.runtime.progress import print_notice
from pipeline.tracking.target import TrackingTarget

WIDE_WITHOUT_TERMINAL = 200
"""Width of the wide table in a file or a pipe."""


def run_command(arguments: Namespace) -> Iterator[str]:
    """List iterations, the newest first.

    Args:
        arguments: `filters` (KEY=VALUE), `state`, `data`, `sweep`, `sort`, `limit`, `wide`, `json`.

    Yields:
        The lines to print.

    Raises:
        UserError: An argument is wrong.
    """
    wanted = parse_filter(
        arguments.filters, states=arguments.state, data=arguments.data, sweep=arguments.sweep
    )
    if arguments.limit < 0:
        raise UserError(f"--limit={arguments.limit} is not allowed: it must be 0 (all) or more")
    sort_iterations([], arguments.sort)  # a wrong key is reported before MLflow is asked
    known = _list()
    if known.outage:
        print_notice(f"{known.outage}; these are the iterations in DVC")
    found = sort_iterations(select_iterations(known.iterations, wanted), arguments.sort)
    shown = found[: arguments.limit or None]
    if arguments.json:
        yield json.dumps(
            describe_iterations(shown),
            indent=2,
            ensure_ascii=needs_ascii_json(),
            allow_nan=False,
            default=str,
        )
    else:
        yield from _format(shown, known, total=len(found), wide=arguments.wide)


def _list() -> KnownIterations:
    config = plan_config(())
    where = config.tracking
    target = TrackingTarget(where.uri, where.experiment, where.timeout)
    return list_known_iterations(target, registry_name=config.registry.name)


def _format(shown: Sequence[Iteration], known: KnownIterations, *, total: int, wide: bool) -> Iterator[str]:
    if not shown:
        yield (
            "no iteration passes the filters"
            if known.iterations
            else "there are no iterations yet: `dvc repro` makes the first one"
        )
        return
    terminal = shutil.get_terminal_size((WIDE_WITHOUT_TERMINAL, 24)).columns
    yield from format_runs_table(shown, wide=wide, width=max(terminal, TABLE_WIDTH) if wide else TABLE_WIDTH)
    yield ""
    yield from describe_table(shown, total=total)
