"""Open a project's cache of DVC and one of its remotes; without one, say how to add it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from pipeline.core.errors import UserError
from pipeline.storage.dvc_remotes.object_store import ObjectStore
from pipeline.storage.dvc_repository import open_repository


@contextmanager
def open_object_store(project: Path, name: str | None) -> Iterator[ObjectStore]:
    """Open the cache of a project, and a remote.

    Args:
        project: The folder with dvc.yaml.
        name: Of the remote; None for the default one.

    Raises:
        UserError: There is no such remote, or it cannot be used.
    """
    with open_repository(project) as repo:
        known = sorted(repo.config["remote"])
        chosen = name or repo.config["core"].get("remote")
        if not chosen:
            raise UserError(_describe_no_remote(known), *_EXAMPLES)
        if chosen.lower() not in known:
            raise UserError(f"there is no remote {chosen}: {_name_known(known)}", *_EXAMPLES)
        yield ObjectStore(repo, chosen)


_EXAMPLES: Final = (
    "dvc remote add --default store /mnt/team/finetrack         # a folder, as of a network disk",
    "dvc remote add --default store ssh://USER@HOST/srv/store   # a machine by SSH",
    "dvc remote add --default store s3://BUCKET/finetrack       # S3; see docs/how-to/remotes.md for others",
)


def _describe_no_remote(known: Sequence[str]) -> str:
    if known:
        return (
            f"no remote is the default one: run `dvc remote default {known[0]}`, or give --remote {known[0]}"
        )
    return "there is no remote for data and weights: add one, and commit .dvc/config, as with"


def _name_known(known: Sequence[str]) -> str:
    return f"choose from {', '.join(known)}" if known else "add it, as with"
