"""Start the MLflow UI (`finetrack ui`, `make ui`)."""

from __future__ import annotations

import os
import sys
from argparse import Namespace
from collections.abc import Iterator

from pipeline.compose.stage import plan_config
from pipeline.tracking.target import TrackingTarget
from pipeline.tracking.ui.ui_server import plan_ui_server


def run_command(arguments: Namespace) -> Iterator[str]:
    """Say where the pages are, and become the server.

    Args:
        arguments: `host`, `port`.

    Yields:
        The lines to print.

    Raises:
        UserError: The address cannot be used, or the runs are on a tracking server.
    """
    where = plan_config(()).tracking
    target = TrackingTarget(where.uri, where.experiment, where.timeout)
    server = plan_ui_server(target, arguments.host, arguments.port)
    yield f"ui: open {server.address} (Ctrl-C ends it)"
    if server.others:
        yield f"ui: from other machines: {', '.join(server.others)}"
        yield (
            "ui: there are no users and no encryption: everybody who reaches this port can read, change and "
            "delete all runs. Use it in a network that you trust (with users: docs/how-to/team-server.md)"
        )
    sys.stdout.flush()
    os.execv(server.command[0], server.command)
