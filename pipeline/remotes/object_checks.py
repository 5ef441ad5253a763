"""Verify the contents of DVC's cache before they are used or pushed; set aside what is damaged."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from pipeline.runtime.progress import Progress, print_notice
from pipeline.storage.dvc_remotes.damaged_objects import (
    find_damaged_objects,
    replace_from_workspace,
    set_object_aside,
)
from pipeline.storage.dvc_remotes.object_store import ObjectStore
from pipeline.storage.dvc_remotes.tracked_objects import WORKSPACE_OWNER, TrackedObject
from pipeline.storage.scratch_folder import project_root


class DamagedObject(NamedTuple):
    """Contents that the cache had damaged, and has no more.

    Attributes:
        object: What they were.
        aside: Where the damaged file is now.
    """

    object: TrackedObject
    aside: Path


def check_cached_objects(
    store: ObjectStore, objects: Mapping[str, TrackedObject], *, command: str = ""
) -> list[DamagedObject]:
    """Verify objects of the cache. The damaged ones are moved into .finetrack/damaged.

    Where the workspace's file has the right contents, it takes their place, and counts as whole.

    Args:
        store: The cache.
        objects: Those to verify; the cache has them.
        command: Starts the line of progress; none is shown without it.

    Returns:
        The damaged ones that could not be replaced.
    """
    files = {oid: store.get_cache_path(oid) for oid in sorted(objects)}
    if not command:
        found = find_damaged_objects(files, lambda _: None)
    else:
        with Progress(command, len(files), unit="files verified") as progress:
            found = find_damaged_objects(files, progress.update)
    return [damaged for oid in found if (damaged := _repair_object(files[oid], objects[oid])) is not None]


def _repair_object(path: Path, found: TrackedObject) -> DamagedObject | None:
    used = project_root() / found.path if found.owner == WORKSPACE_OWNER else None
    aside = set_object_aside(found.oid, path, used)
    if used is not None and replace_from_workspace(found.oid, path, used):
        print_notice(f"{path} was damaged: the file in the workspace, {found.path}, took its place")
        return None
    return DamagedObject(found, aside)
