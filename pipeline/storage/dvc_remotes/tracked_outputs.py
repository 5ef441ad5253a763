"""List the outputs that the workspace and commits name in dvc.lock and in .dvc files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pipeline.storage.dvc_remotes.committed_outputs import list_committed_outputs
from pipeline.storage.dvc_remotes.tracked_objects import HASH_NAME, TrackedObject, TrackedOutputs


def list_outputs(repo: Any, owners: dict[str, str]) -> TrackedOutputs:
    """List the outputs of the workspace's dvc.lock, then those of commits.

    Args:
        repo: DVC's repository.
        owners: The name of the owner of each commit.
    """
    found: dict[str, TrackedObject] = {}
    skipped: dict[str, None] = {}
    for out in repo.index.outs:
        _add_output(repo, out, found, skipped)
    committed = list_committed_outputs(Path(repo.root_dir), owners)
    for output in committed.objects:
        found.setdefault(output.oid, output)
    return TrackedOutputs(tuple(found.values()), (*skipped, *committed.skipped))


def list_workspace_outputs(repo: Any) -> list[TrackedObject]:
    """List the outputs of the workspace's dvc.lock; equal ones are listed several times.

    Args:
        repo: DVC's repository.
    """
    outs = (out for out in repo.index.outs if out.use_cache and out.hash_info and out.is_in_repo)
    return [TrackedObject(out.hash_info.value, _get_path(repo, out)) for out in outs]


def _add_output(repo: Any, out: Any, found: dict[str, TrackedObject], skipped: dict[str, None]) -> None:
    if not out.use_cache or not out.hash_info:
        return
    if out.hash_info.name != HASH_NAME:
        skipped[f"{out} was added by DVC 2, which hashes otherwise: use `dvc push` and `dvc pull`"] = None
    elif not out.is_in_repo:
        skipped[f"{out} is outside of the project: use `dvc push` and `dvc pull`"] = None
    elif out.can_push:
        output = TrackedObject(out.hash_info.value, _get_path(repo, out))
        found.setdefault(output.oid, output)


def _get_path(repo: Any, out: Any) -> str:
    return str(repo.fs.relpath(out.fs_path, repo.root_dir)).replace("\\", "/")
