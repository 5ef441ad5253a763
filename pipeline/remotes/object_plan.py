"""Which contents the workspace and the experiments need, and which of them can be had."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from pipeline.core.errors import UserError
from pipeline.remotes.object_checks import check_cached_objects
from pipeline.storage.dvc_remotes.object_store import ObjectStore
from pipeline.storage.dvc_remotes.tracked_objects import WORKSPACE_OWNER, TrackedObject, read_folder_list

NAMED_OBJECTS = 3
"""Objects that a message names; it counts the others."""


class ObjectPlan(NamedTuple):
    """The contents that are needed.

    Attributes:
        objects: Each contents once, by its name; the lists of folders are in the cache.
        lost: Lists of folders that neither the cache nor the remote has: their files are not known.
        damaged: Lists of folders that the remote has with other contents.
        skipped: A sentence for each thing that cannot be handled.
    """

    objects: dict[str, TrackedObject]
    lost: tuple[TrackedObject, ...]
    damaged: tuple[TrackedObject, ...]
    skipped: tuple[str, ...]


def plan_objects(store: ObjectStore, owners: dict[str, str]) -> ObjectPlan:
    """Find what the workspace and the experiments need; lists of folders are fetched where they are missing.

    Args:
        store: The cache and the remote.
        owners: The name of the experiment of each commit.

    Raises:
        UserError: The remote cannot be used.
    """
    outputs = store.list_outputs(owners)
    lists = {each.oid: each for each in outputs.objects if each.is_folder}
    damaged = _fetch_missing_lists(store, lists)
    cached = store.find_cached(lists)
    objects = {each.oid: each for each in outputs.objects if not each.is_folder or each.oid in cached}
    for folder in (each for each in outputs.objects if each.oid in cached and each.is_folder):
        for file in _read_list(store, folder):
            objects.setdefault(file.oid, file)
    lost = tuple(each for oid, each in lists.items() if oid not in cached and oid not in damaged)
    return ObjectPlan(objects, lost, tuple(lists[oid] for oid in damaged), outputs.skipped)


def name_objects(objects: Iterable[TrackedObject]) -> str:
    """Name up to three contents, those of the workspace first, and count the others."""
    named = sorted(objects, key=lambda each: (each.owner != WORKSPACE_OWNER, each.owner, each.path))
    rest = len(named) - NAMED_OBJECTS
    first = ", ".join(each.describe() for each in named[:NAMED_OBJECTS])
    return f"{first} and {rest:,} more" if rest > 0 else first


def _fetch_missing_lists(store: ObjectStore, lists: dict[str, TrackedObject]) -> Sequence[str]:
    """Fetch lists that the cache lacks, or has damaged; return those that the remote has damaged."""
    cached = store.find_cached(lists)
    check_cached_objects(store, {oid: lists[oid] for oid in cached})
    missing = lists.keys() - store.find_cached(lists)
    there = sorted(store.find_on_remote(missing))
    return store.download(there, lambda _: None).damaged if there else ()


def _read_list(store: ObjectStore, folder: TrackedObject) -> Sequence[TrackedObject]:
    path = store.get_cache_path(folder.oid)
    try:
        return read_folder_list(folder, path)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{path}, the list of the files of {folder.describe()}, cannot be read: {error}"
        ) from None
