"""Share the records of DVC's run cache: with them, nobody trains again what somebody has trained."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import NamedTuple

import yaml

from pipeline.storage.dvc_remotes.object_store import ObjectStore
from pipeline.storage.dvc_remotes.tracked_objects import TrackedObject


class RunRecord(NamedTuple):
    """What DVC recorded of a run of a stage.

    Attributes:
        path: Of the record, relative to the run cache.
        outputs: Contents of its outputs, also of those that git tracks.
    """

    path: str
    outputs: tuple[TrackedObject, ...]


def find_shared_records(store: ObjectStore, objects: Mapping[str, TrackedObject]) -> list[RunRecord]:
    """Find the records of runs whose folders are all among some contents.

    Args:
        store: The cache.
        objects: The contents that are shared.
    """
    return [record for record in _read_records(store) if _is_shared(record, objects)]


def _read_records(store: ObjectStore) -> Iterator[RunRecord]:
    for path in sorted(store.list_records(on_remote=False)):
        try:
            outputs = tuple(_list_outputs(store.read_record(path)))
        except (OSError, yaml.YAMLError, KeyError, TypeError, AttributeError):
            continue  # DVC ignores such a record, too
        yield RunRecord(path, outputs)


def _list_outputs(text: bytes) -> Iterator[TrackedObject]:
    found = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    for out in found["outs"]:
        yield TrackedObject(str(out["md5"]), str(out["path"]))


def _is_shared(record: RunRecord, objects: Collection[str]) -> bool:
    folders = [each.oid for each in record.outputs if each.is_folder]
    return bool(folders) and all(oid in objects for oid in folders)
