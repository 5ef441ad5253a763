"""Remove results of stages that a job does not run: its experiment would show another model's figures."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, Final

import yaml

from pipeline.storage.files import write_file

DVC_LOCK: Final = "dvc.lock"
_DVC_FILE: Final = "dvc.yaml"
_MADE: Final = ("outs", "metrics", "plots")


def remove_results_of_other_stages(folder: Path, last_stage: str) -> None:
    """Remove the outputs of stages that are no part of a job, and their entries in dvc.lock.

    Args:
        folder: Of dvc.yaml.
        last_stage: The stage that the job ends with; those before it are part of it.
    """
    stages, lock = _read_stages(folder / _DVC_FILE), read_lock_stages(folder)
    kept = list_stages_up_to(last_stage, lock | stages)
    for name in (stages.keys() | lock.keys()) - kept - {"compose"}:
        made = {*_list_paths(stages.get(name, {}), _MADE), *_list_paths(lock.get(name, {}), _MADE)}
        for path in made:
            _remove(folder, path)
    if not lock.keys() <= kept | {"compose"}:
        write_lock_stages(folder, {name: stage for name, stage in lock.items() if name in kept | {"compose"}})


def list_stages_up_to(last_stage: str, stages: Mapping[str, Any]) -> set[str]:
    """Return a stage and all stages whose outputs it needs, directly or not.

    Args:
        last_stage: Its name.
        stages: As in dvc.yaml or dvc.lock.
    """
    found: set[str] = set()
    waiting = [last_stage]
    while waiting:
        name = waiting.pop()
        found.add(name)
        needed = _list_needed(stages.get(name, {}))
        before = (other for other, stage in stages.items() if _makes_any(stage, needed))
        waiting += [other for other in before if other not in found]
    return found


def read_lock_stages(folder: Path) -> dict[str, Any]:
    """Return the stages in dvc.lock; empty if it is absent or damaged, as after a kill."""
    return _read_stages(folder / DVC_LOCK)


def write_lock_stages(folder: Path, stages: Mapping[str, Any]) -> None:
    """Write dvc.lock with these stages."""
    content = {"schema": "2.0", "stages": dict(stages)}
    write_file(folder / DVC_LOCK, yaml.safe_dump(content, sort_keys=False, allow_unicode=True))


def _read_stages(path: Path) -> dict[str, Any]:
    try:
        stages = yaml.safe_load(path.read_text("utf-8"))["stages"]
    except (OSError, ValueError, TypeError, KeyError, yaml.YAMLError):
        return {}
    return stages if isinstance(stages, dict) else {}


def _list_paths(stage: Any, parts: tuple[str, ...]) -> Iterator[PurePosixPath]:
    """Yield the paths of a stage: texts or mappings in dvc.yaml, mappings with `path` in dvc.lock."""
    for part in parts:
        for entry in stage.get(part) or () if isinstance(stage, dict) else ():
            name = entry.get("path") or next(iter(entry)) if isinstance(entry, dict) else entry
            if isinstance(name, str) and "${" not in name:
                yield PurePosixPath(name)


def _list_needed(stage: Any) -> set[PurePosixPath]:
    """List what a stage depends on; files of parameters are the keys of mappings, and may be outputs."""
    params = (stage.get("params") or ()) if isinstance(stage, dict) else ()
    files = {PurePosixPath(name) for entry in params if isinstance(entry, dict) for name in entry}
    files |= {PurePosixPath(name) for name in params} if isinstance(params, dict) else set()
    return {*_list_paths(stage, ("deps",)), *files}


def _makes_any(stage: Any, needed: set[PurePosixPath]) -> bool:
    made = _list_paths(stage, _MADE)
    return any(path.is_relative_to(want) or want.is_relative_to(path) for path in made for want in needed)


def _remove(folder: Path, path: PurePosixPath) -> None:
    """Remove an output; a path that leaves the folder is not the workspace's."""
    place = folder / path
    if path.is_absolute() or ".." in path.parts or not path.parts:
        return
    if place.is_dir() and not place.is_symlink():
        shutil.rmtree(place)
    else:
        place.unlink(missing_ok=True)
