"""Find what DVC's cache has of a file of the workspace, and set it aside if it is damaged."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Any

from pipeline.storage.dvc_remotes.damaged_objects import find_damaged_objects, set_object_aside
from pipeline.storage.dvc_remotes.tracked_objects import TrackedObject, read_folder_list
from pipeline.storage.dvc_remotes.tracked_outputs import list_workspace_outputs
from pipeline.storage.dvc_repository import open_repository


def set_cached_copy_aside(project: Path, file: str) -> Path | None:
    """Move the cache's copy of a file into .finetrack/damaged if it is damaged, and return its new path.

    Nothing happens where the folder is not one that DVC tracks: the caller has an error of its own to tell.

    Args:
        project: A folder with dvc.lock.
        file: Relative to it.

    Returns:
        None if the copy is intact, or there is none.
    """
    try:
        with open_repository(project) as repo:
            found = _find_object(repo, file)
            if found is None:
                return None
            path = Path(repo.cache.local.oid_to_path(found.oid))
            if not find_damaged_objects({found.oid: path}, lambda _: None):
                return None
            return set_object_aside(found.oid, path, project / file)
    except Exception:  # of DVC: no repository, a damaged dvc.lock, a cache that cannot be read
        return None


def _find_object(repo: Any, file: str) -> TrackedObject | None:
    """Return the object of a file, or of the file in a folder; None if dvc.lock names none."""
    place = PurePosixPath(file)
    for output in list_workspace_outputs(repo):
        if output.path == file:
            return output
        if output.is_folder and place.is_relative_to(output.path):
            files = read_folder_list(output, Path(repo.cache.local.oid_to_path(output.oid)))
            return next((each for each in files if each.path == file), None)
    return None
