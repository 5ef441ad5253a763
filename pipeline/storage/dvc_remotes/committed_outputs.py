"""Read from git which outputs commits name, many at once; DVC takes long for each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, Final

import yaml

from pipeline.storage.dvc_remotes.tracked_objects import (
    HASH_NAME,
    TrackedObject,
    TrackedOutputs,
    describe_owner,
)
from pipeline.storage.git_commands import run_git
from pipeline.storage.git_history import read_files_of_commits

_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_LOCK, _PIPELINE = Path("dvc.lock"), Path("dvc.yaml")


def list_committed_outputs(project: Path, owners: Mapping[str, str]) -> TrackedOutputs:
    """List the outputs of commits: those of dvc.lock, and of .dvc files that git has now.

    Args:
        project: The project's folder.
        owners: The name of the owner of each commit.
    """
    if not owners:
        return TrackedOutputs((), ())
    listed = run_git(project, "ls-files", "-z", "--", "*.dvc")  # without -z git writes umlauts as numbers
    added = [Path(name) for name in listed.split("\0") if name]
    names = [_LOCK, _PIPELINE, *added]
    files = read_files_of_commits(project, ((commit, name) for commit in owners for name in names))
    found: dict[str, TrackedObject] = {}
    skipped = []
    for commit, owner in owners.items():
        own = {name: files[commit, name] for name in names if (commit, name) in files}
        try:
            outputs = [*_read_locked_outputs(own), *_read_added_outputs(own, added)]
        except (yaml.YAMLError, AttributeError, KeyError, TypeError, ValueError):
            skipped.append(f"the dvc.lock of {describe_owner(owner)} cannot be read: its data is left out")
            continue
        for oid, path in outputs:
            found.setdefault(oid, TrackedObject(oid, path, owner))
    return TrackedOutputs(tuple(found.values()), tuple(skipped))


def _read_locked_outputs(files: Mapping[Path, bytes]) -> Iterator[tuple[str, str]]:
    """Yield the contents and the path of each output of dvc.lock that is in the cache, and may be pushed."""
    locked = _parse(files.get(_LOCK)).get("stages") or {}
    stages = _parse(files.get(_PIPELINE)).get("stages") or {}
    for name, stage in locked.items():
        definition = stages.get(name) or stages.get(name.partition("@")[0]) or {}
        own = set(_list_uncached(definition))
        folder = PurePosixPath(definition.get("wdir") or ".")
        for out in stage.get("outs") or []:
            if out.get("hash") == HASH_NAME and HASH_NAME in out and out["path"] not in own:
                yield str(out[HASH_NAME]), str(folder / out["path"])


def _list_uncached(stage: Mapping[str, Any]) -> Iterator[str]:
    """Yield the outputs of a stage that git has, or that are not to be pushed."""
    for kind in ("outs", "metrics", "plots"):
        for entry in stage.get(kind) or []:
            if isinstance(entry, dict):
                yield from (path for path, flags in entry.items() if flags and not _is_shared(flags))


def _is_shared(flags: Mapping[str, Any]) -> bool:
    return bool(flags.get("cache", True)) and bool(flags.get("push", True))


def _read_added_outputs(files: Mapping[Path, bytes], added: list[Path]) -> Iterator[tuple[str, str]]:
    for name in added:
        found = _parse(files.get(name))
        folder = PurePosixPath(name.parent.as_posix()) / (found.get("wdir") or ".")
        for out in found.get("outs") or []:
            if out.get("hash") == HASH_NAME and HASH_NAME in out and _is_shared(out):
                yield str(out[HASH_NAME]), str(folder / out["path"])


def _parse(text: bytes | None) -> dict[str, Any]:
    found = yaml.load(text, Loader=_LOADER) if text else None
    return found if isinstance(found, dict) else {}
