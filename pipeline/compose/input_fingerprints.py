"""Take the fingerprints of the inputs from outside: source images and base weights.

An absent input keeps its recorded fingerprint if that is of the very same name: a colleague may have pulled
the results without the images. Standard library only, since every `dvc repro` runs this.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

from pipeline.compose.source_overlap import refuse_linked_folder, refuse_project_folders
from pipeline.compose.weight_fingerprints import (
    InputFingerprint,
    fingerprint_architecture,
    fingerprint_other_tasks_weights,
    fingerprint_teacher,
    fingerprint_weights,
)
from pipeline.config.source_paths import DATASET_FILES, find_source_folder, resolve_sources
from pipeline.core.errors import UserError
from pipeline.core.paths import COMPOSE_LOCK_FILE, expand_home
from pipeline.dataset.image_columns import COLUMNS_FILE, COLUMNS_FOLDER, find_columns_root
from pipeline.storage.fingerprint import fingerprint_file, fingerprint_source
from pipeline.storage.scratch_folder import create_scratch_folder, project_root

DRAWN_FORMATS = {"demo", "shapes"}
NO_UNLABELLED: Final = "none"
"""The fingerprint where data.unlabelled_source is null."""
RESTORED_KEY: Final = "restored"
"""The entry of compose.lock.json in a restored iteration: the fingerprints of its inputs stand."""
RESTORED_NAMES_KEY: Final = "restored_of"
"""The entry beside it: the names of those inputs. A later source or weights file is none of them."""


def fingerprint_inputs(
    values: Mapping[str, Any], lock: Mapping[str, Any]
) -> tuple[dict[str, Any], list[str]]:
    """Take the fingerprints that `prepare`, `finetune` and `evaluate` depend on.

    Args:
        values: The whole configuration.
        lock: The last compose.lock.json; its fingerprint is used where an input is absent.

    Returns:
        The entries of compose.lock.json, and notes for the user.

    Raises:
        UserError: An input is absent, and no fingerprint of it is recorded.
    """
    model, finetune = values["model"], values["finetune"]
    inputs = {
        "source": fingerprint_source_images(values["data"]),
        "unlabelled": fingerprint_unlabelled_images(values["data"]),
        "weights": fingerprint_weights(model, finetune, values["data"].get("task", "auto")),
        "teacher": fingerprint_teacher(finetune["distill_model"], model["folder"]),
        "architecture": fingerprint_architecture(model["architecture"], lock),
        "forget": fingerprint_old_data(values.get("evaluate", {}).get("forget")),
    }
    entries: dict[str, Any] = {
        key: item.fingerprint or _read_recorded(key, item, lock) for key, item in inputs.items()
    }
    held = _hold_restored_inputs(inputs, entries, lock)
    absent = [
        item for key, item in inputs.items() if item.fingerprint is None and entries[key] != item.otherwise
    ]
    notes = [f"{item.name} is not on this machine: its recorded fingerprint stands" for item in absent]
    notes += [_describe_held(item) for item in held]
    is_same = lock.get("of", {}).get("weights") == inputs["weights"].name
    is_held = is_restored_input(inputs["weights"], lock) and is_same and "siblings" in lock
    known = lock if is_same else {}
    entries["siblings"] = lock["siblings"] if is_held else fingerprint_other_tasks_weights(values, known)
    is_present = inputs["source"].fingerprint == entries["source"]
    parts = dict(inputs["source"].parts) if is_present else lock.get("parts", {})
    of = {key: item.name for key, item in inputs.items()}
    restored: dict[str, Any] = {}
    if RESTORED_KEY in lock:
        names = {key: name for key, name in of.items() if is_restored_input(inputs[key], lock)}
        restored = {RESTORED_KEY: lock[RESTORED_KEY], RESTORED_NAMES_KEY: names}
    return {**entries, **({"parts": parts} if parts else {}), "of": of, **restored}, notes


def is_restored_input(item: InputFingerprint, lock: Mapping[str, Any]) -> bool:
    """Tell whether an input is one of a restored iteration, and was one in each `compose` since.

    Args:
        item: The input.
        lock: The last compose.lock.json. Before the first `compose`, its names are those of the iteration.
    """
    return RESTORED_KEY in lock and item.name in lock.get(RESTORED_NAMES_KEY, lock.get("of", {})).values()


def _hold_restored_inputs(
    inputs: Mapping[str, InputFingerprint], entries: dict[str, Any], lock: Mapping[str, Any]
) -> list[InputFingerprint]:
    """Let recorded fingerprints stand in a restored iteration; return the inputs that differ now.

    The images of a project grow: `dvc repro` in a folder with an earlier iteration would make it another one.
    """
    held = []
    for key, item in inputs.items():
        recorded = lock.get(key) if lock.get("of", {}).get(key) == item.name else None
        if is_restored_input(item, lock) and recorded not in {None, entries[key]}:
            entries[key] = recorded
            held.append(item)
    return held


def _describe_held(item: InputFingerprint) -> str:
    return (
        f"{item.name} has changed since the restored iteration, whose record stands: to use it as it is now, "
        f"delete `{RESTORED_KEY}` in {COMPOSE_LOCK_FILE}"
    )


def _read_recorded(key: str, item: InputFingerprint, lock: Mapping[str, Any]) -> str:
    recorded = lock.get(key) if lock.get("of", {}).get(key) == item.name else None
    if recorded and item.parts and not is_restored_input(item, lock):
        _require_unchanged_parts(item, lock.get("parts", {}))
    if recorded or item.otherwise:
        return str(recorded or item.otherwise)
    raise UserError(
        f"{item.absent or item.name} does not exist (a relative path starts at the project's folder): "
        "give the right path where this one was given, in conf/ or with -S"
    )


def _require_unchanged_parts(item: InputFingerprint, recorded: Mapping[str, str]) -> None:
    """Refuse several sources of which one is absent and another one changed: the record is of neither."""
    changed = [name for name, fingerprint in item.parts.items() if recorded.get(name) != fingerprint]
    if changed:
        raise UserError(
            f"{item.absent} does not exist, and the images of {changed[0]} changed since they were recorded "
            "together: make all sources available again"
        )


def fingerprint_old_data(forget: str | None) -> InputFingerprint:
    """Fingerprint the images of evaluate.forget: its manifest has the hashes of all files of the folder.

    Their groups, by which intervals are computed, are in data/columns of the project that prepared them.

    Raises:
        UserError: The folder is there, and is no prepared dataset.
    """
    name = f"evaluate.forget={'null' if forget is None else forget}"
    if forget in {None, "base"}:
        return InputFingerprint(name, forget or "none")
    folder = project_root() / expand_home(str(forget))
    manifest = folder / "manifest.json"
    if not manifest.is_file():
        if folder.is_file() or (folder.is_dir() and any(folder.iterdir())):
            raise UserError(
                f"{name} is no prepared dataset (it has no manifest.json): prepare the old images in a copy "
                "of the project (`finetrack use FOLDER`, `dvc repro prepare`) and give its data/prepared, or "
                "set `base` for the test images"
            )
        return InputFingerprint(name, None)
    cache, root = create_scratch_folder() / "hashes.db", find_columns_root(folder)
    found = fingerprint_file(manifest, cache=cache)
    if root:
        columns = fingerprint_file(root / COLUMNS_FOLDER / COLUMNS_FILE, cache=cache)
        found = hashlib.sha256(f"{found} {columns}".encode()).hexdigest()
    return InputFingerprint(name, found)


def fingerprint_source_images(data: Mapping[str, Any]) -> InputFingerprint:
    """Fingerprint the files of data.source, or of each of several sources.

    Raises:
        UserError: A source overlaps with what the project writes, or cannot be read.
    """
    if data["format"] in DRAWN_FORMATS:
        return InputFingerprint(f"data.format={data['format']}", "drawn")
    paths = resolve_sources(project_root(), data["source"])
    several = len(paths) > 1
    name = _name_sources(data["source"])
    for path in paths.values():
        refuse_project_folders(f"data.source={path}" if several else name, find_source_folder(path))
    present = {inner: path for inner, path in paths.items() if not _is_absent(path)}
    parts = {
        inner: _fingerprint_source_path(path, f"data.source={path}" if several else name)
        for inner, path in present.items()
    }
    absent = next((path for inner, path in paths.items() if inner not in present), None)
    if absent:
        return InputFingerprint(name, None, absent=f"data.source={absent}" if several else "", parts=parts)
    if not several:
        return InputFingerprint(name, parts[""])
    joined = json.dumps([*parts.items()], allow_nan=False)  # in their order, which is that of the classes
    return InputFingerprint(name, hashlib.sha256(joined.encode()).hexdigest(), parts=parts)


def fingerprint_unlabelled_images(data: Mapping[str, Any]) -> InputFingerprint:
    """Fingerprint the files of data.unlabelled_source.

    Raises:
        UserError: It overlaps with what the project writes or with a source, or cannot be read.
    """
    unlabelled = data.get("unlabelled_source")
    if unlabelled is None:
        return InputFingerprint("data.unlabelled_source=null", NO_UNLABELLED)
    name = f"data.unlabelled_source={unlabelled}"
    path = resolve_sources(project_root(), unlabelled)[""]
    refuse_project_folders(name, find_source_folder(path))
    for source in resolve_sources(project_root(), data["source"]).values():
        one, other = (find_source_folder(each).resolve() for each in (path, source))
        if one.is_relative_to(other) or other.is_relative_to(one):
            raise UserError(
                f"{name} and data.source={source} overlap, and one image would have two labels: "
                "keep them in folders of their own"
            )
    return InputFingerprint(name, None if _is_absent(path) else _fingerprint_source_path(path, name))


def _name_sources(source: Any) -> str:
    """Name data.source so that a list differs from one path with a comma in it."""
    named = source if isinstance(source, str) else json.dumps(source, ensure_ascii=False, allow_nan=False)
    return f"data.source={named}"


def _is_absent(path: Path) -> bool:
    """Check whether a source is absent; an empty folder may be a disk that is not mounted."""
    return not path.exists() or (path.is_dir() and not any(path.iterdir()))


def _fingerprint_source_path(path: Path, name: str) -> str:
    cache = create_scratch_folder() / "hashes.db"
    check = partial(refuse_linked_folder, name)
    if path.is_dir():
        return fingerprint_source(path, cache=cache, map_files=_map_in_threads, check_folder=check)
    if path.suffix.lower() not in DATASET_FILES:
        return fingerprint_file(path, cache=cache)  # an archive
    read = find_source_folder(path)
    folder = fingerprint_source(read, cache=cache, map_files=_map_in_threads, check_folder=check)
    return hashlib.sha256(f"{path.name}\0{folder}".encode(errors="surrogateescape")).hexdigest()


def _map_in_threads(work: Callable[[str], str], paths: list[str]) -> Iterator[str]:
    from pipeline.runtime.progress import Progress  # only where files are new
    from pipeline.runtime.thread_pool import map_in_threads

    return map_in_threads(work, paths, progress=Progress("compose", len(paths), unit="source files read"))
