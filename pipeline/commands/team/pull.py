"""Pull data, weights and experiments from the team's remotes (`finetrack pull`)."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator

from pipeline.compose.stage import plan_config
from pipeline.remotes.pull import pull_iterations
from pipeline.remotes.sync_request import SyncRequest
from pipeline.storage.git import require_owned_repository
from pipeline.storage.scratch_folder import project_root


def run_command(arguments: Namespace) -> Iterator[str]:
    """Pull.

    Args:
        arguments: `remote`, `git_remote`, `no_experiments`, `force`, `verify`.

    Yields:
        The lines to print.

    Raises:
        UserError: A remote is missing or fails, or does not have what the workspace needs.
    """
    project = project_root()
    require_owned_repository(project)
    request = SyncRequest(
        arguments.remote,
        arguments.git_remote,
        experiments=not arguments.no_experiments,
        force=arguments.force,
        verify=arguments.verify,
    )
    for line in pull_iterations(project, request):
        yield f"pull: {line}"
    uri = plan_config(()).tracking.uri
    if uri.startswith("sqlite:"):
        yield (
            f"pull: MLflow's runs are not part of it: {uri} is this folder's own; a tracking server shares "
            "them (docs/how-to/team-server.md)"
        )
