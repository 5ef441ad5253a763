"""Push data, weights and experiments to the team's remotes (`finetrack push`)."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator

from pipeline.remotes.push import push_iterations
from pipeline.remotes.sync_request import SyncRequest
from pipeline.storage.git import require_owned_repository
from pipeline.storage.scratch_folder import project_root


def run_command(arguments: Namespace) -> Iterator[str]:
    """Push.

    Args:
        arguments: `remote`, `git_remote`, `no_experiments`, `branch`, `force`, `verify`.

    Yields:
        The lines to print.

    Raises:
        UserError: A remote is missing or fails, or something is damaged or lost.
    """
    project = project_root()
    require_owned_repository(project)
    request = SyncRequest(
        arguments.remote,
        arguments.git_remote,
        experiments=not arguments.no_experiments,
        branch=arguments.branch,
        force=arguments.force,
        verify=arguments.verify,
    )
    for line in push_iterations(project, request):
        yield f"push: {line}"
