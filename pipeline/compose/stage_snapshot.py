"""Check that the parameters, code and inputs of a stage stay the same while it runs.

DVC reads params.yaml and compose.lock.json and hashes the inputs after a stage. What changed in the meantime,
such as params.yaml by a `dvc exp run` that is then refused, would be recorded as what made the results.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

from pipeline.compose.lockfile import LAST_PARAMS_FILE, PARAMS_KEY, parse_lock, save_replaced_params
from pipeline.compose.stage import check_params_values, parse_params
from pipeline.config.source_paths import find_source_folder, resolve_sources
from pipeline.core.config_diff import KeyDifference, diff_configs, format_changes, join_first
from pipeline.core.errors import ChangedInputError, UserError
from pipeline.core.paths import (
    AUGMENTED_FOLDER,
    COMPOSE_LOCK_FILE,
    FINETUNED_FOLDER,
    PARAMS_FILE,
    PREPARED_FOLDER,
)
from pipeline.dataset.image_columns import COLUMNS_FOLDER
from pipeline.storage.code_digests import compute_stage_digest
from pipeline.storage.file_stamps import ContentStamp, list_changed_files, name_first_files, stamp_folder
from pipeline.storage.fingerprint import FileStamp, stamp_source
from pipeline.storage.scratch_folder import SCRATCH_FOLDER, project_root

INPUT_FOLDERS: Final[Mapping[str, tuple[Path, ...]]] = {
    "prepare": (),
    "augment": (PREPARED_FOLDER,),
    "finetune": (PREPARED_FOLDER, AUGMENTED_FOLDER),
    "evaluate": (PREPARED_FOLDER, COLUMNS_FOLDER, FINETUNED_FOLDER),
}
"""The deps of each stage in dvc.yaml."""

RECORDED_LOCK_KEYS: Final[Mapping[str, tuple[str, ...]]] = {
    "prepare": ("source", "unlabelled", "earlier"),
    "augment": (),
    "finetune": ("weights", "siblings", "teacher", "architecture"),
    "evaluate": ("forget",),
}
"""The entries of compose.lock.json that DVC records for each stage, beside the digest of its code. Others may
change: a `dvc repro` beside a training is refused, but after its `compose` saw new images."""

SETTLING_SECONDS: Final = 5.0
"""How long a change of params.yaml must last. `dvc exp run --temp` and `--queue`, beside a stage of the same
folder, write the new experiment's values to it for a moment, and restore it (`_stash_exp` in DVC)."""

State = TypeVar("State")


class StageSnapshot(NamedTuple):
    """What a stage works from.

    Attributes:
        stage: Its name.
        params: The bytes of params.yaml.
        values: The values in it, checked.
        lock: compose.lock.json; empty if there is none.
        code: The digest of the stage's code.
        inputs: Stamps of the files in its input folders, and for prepare of the source, by path.
    """

    stage: str
    params: bytes
    values: dict[str, Any]
    lock: dict[str, Any]
    code: str
    inputs: dict[str, ContentStamp | FileStamp]


def take_snapshot(stage: str) -> StageSnapshot:
    """Read what a stage works from; each file is read once.

    Raises:
        UserError: params.yaml is missing, is not YAML, or holds a configuration that cannot run.
    """
    params, lock = _read_until(_read_files, _are_composed)
    if not params and not PARAMS_FILE.exists():
        raise UserError("params.yaml is missing: run `dvc repro`, or `python -m pipeline compose`")
    values = check_params_values(params)
    inputs = _stamp_inputs(stage, values)
    return StageSnapshot(stage, params, values, lock, compute_stage_digest(stage), inputs)


def _read_files() -> tuple[bytes, dict[str, Any]]:
    return _read_bytes(PARAMS_FILE), parse_lock(_read_bytes(COMPOSE_LOCK_FILE))


def _are_composed(files: tuple[bytes, dict[str, Any]]) -> bool:
    """Check that params.yaml is as `compose` left it. A stage that is run by hand may use other values."""
    params, lock = files
    composed = lock.get(PARAMS_KEY)
    return "DVC_STAGE" not in os.environ or composed in {None, hashlib.sha256(params).hexdigest()}


def _read_until(read: Callable[[], State], is_settled: Callable[[State], bool]) -> State:
    """Read a state again until it is settled, at most `SETTLING_SECONDS` long."""
    end = time.monotonic() + SETTLING_SECONDS
    while not is_settled(state := read()) and time.monotonic() < end:
        time.sleep(0.1)
    return state


def require_composed_params(snapshot: StageSnapshot) -> None:
    """Require that params.yaml is as `compose` left it in this `dvc repro`.

    Raises:
        UserError: It was changed since.
    """
    if _are_composed((snapshot.params, snapshot.lock)):
        return
    composed = snapshot.lock[PARAMS_KEY]
    kept = project_root() / SCRATCH_FOLDER / LAST_PARAMS_FILE
    before = kept.read_bytes() if kept.exists() else b""
    is_before = hashlib.sha256(before).hexdigest() == composed
    found = diff_configs(parse_params(before), snapshot.values) if is_before else []
    named = f" ({_format_changes(found)})" if found else ""
    raise UserError(
        f"params.yaml was changed since compose{named}, and {snapshot.stage} would use other values than the "
        "stages before: run `dvc repro` for the values that it has now (for this stage alone "
        f"`dvc repro --single-item compose {snapshot.stage}`), or restore the earlier ones first"
    )


def require_unchanged_snapshot(snapshot: StageSnapshot) -> None:
    """Require that parameters, code and input files are still those of the snapshot.

    Raises:
        ChangedInputError: Input files changed.
        UserError: params.yaml, compose.lock.json or the code of the stage changed.
    """
    require_unchanged_inputs(snapshot)
    require_unchanged_parameters(snapshot)


def require_unchanged_inputs(snapshot: StageSnapshot) -> None:
    """Require that the input files are still those of the snapshot.

    Raises:
        ChangedInputError: Some changed.
    """
    changed = list_changed_files(snapshot.inputs, _stamp_inputs(snapshot.stage, snapshot.values))
    if changed:
        raise ChangedInputError(
            f"{name_first_files(changed)} changed while {snapshot.stage} was running, and it may have used "
            "either state: its results are not recorded; leave these files alone, and run `dvc repro` again"
        )


def require_unchanged_parameters(snapshot: StageSnapshot) -> None:
    """Require that params.yaml, compose.lock.json and the stage's code are still those of the snapshot.

    Raises:
        UserError: They are not.
    """
    error = _read_until(partial(_find_change, snapshot), lambda found: found is None)
    if error:
        raise error


def _find_change(snapshot: StageSnapshot) -> UserError | None:
    if found := _diff_params(snapshot):
        return _build_change_error(snapshot, f"{PARAMS_FILE} ({_format_changes(found)})", is_params=True)
    if found := _diff_lock(snapshot):
        return _build_change_error(snapshot, f"{COMPOSE_LOCK_FILE} ({_format_changes(found)})")
    if compute_stage_digest(snapshot.stage) != snapshot.code:
        return _build_change_error(snapshot, f"the code of {snapshot.stage}")
    return None


def _build_change_error(snapshot: StageSnapshot, what: str, *, is_params: bool = False) -> UserError:
    stage = snapshot.stage
    if is_params:
        copy = save_replaced_params(snapshot.params).relative_to(project_root())
        way_back = f"; for the earlier values: `cp {copy} {PARAMS_FILE} && dvc repro`"
    else:
        way_back = ", or restore the earlier state first"
    kept = ", and the training is kept" if stage == "finetune" else ""
    return UserError(
        f"{what} changed while {stage} was running: its results are not recorded{kept}; for the new state: "
        f"`dvc repro`{way_back}"
    )


def _diff_params(snapshot: StageSnapshot) -> list[KeyDifference]:
    try:
        params = PARAMS_FILE.read_bytes()
        return [] if params == snapshot.params else diff_configs(snapshot.values, parse_params(params))
    except (OSError, UserError):  # deleted, or no YAML
        return [KeyDifference(str(PARAMS_FILE), "readable", "unreadable")]


def _diff_lock(snapshot: StageSnapshot) -> list[KeyDifference]:
    lock = parse_lock(_read_bytes(COMPOSE_LOCK_FILE))
    recorded, current = (
        {key: content[key] for key in RECORDED_LOCK_KEYS[snapshot.stage] if key in content}
        for content in (snapshot.lock, lock)
    )
    found = diff_configs(recorded, current)
    codes = [content.get("code", {}).get(snapshot.stage) for content in (snapshot.lock, lock)]
    return found if codes[0] == codes[1] else [*found, KeyDifference(f"code.{snapshot.stage}", *codes)]


def _format_changes(found: list[KeyDifference]) -> str:
    return join_first([_shorten(text) for text in format_changes(found)], "`git diff`")


def _shorten(text: str) -> str:
    """Shorten digests, which would fill the line."""
    return " ".join(word[:12] if len(word) == 64 else word for word in text.split(" "))


def _stamp_inputs(stage: str, values: Mapping[str, Any]) -> dict[str, ContentStamp | FileStamp]:
    found: dict[str, ContentStamp | FileStamp] = {}
    for folder in INPUT_FOLDERS[stage]:
        found |= stamp_folder(folder)
    if stage == "prepare":
        for key in ("source", "unlabelled_source"):
            for path in resolve_sources(project_root(), values["data"].get(key)).values():
                found |= stamp_source(find_source_folder(path))
    return found


def _read_bytes(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except FileNotFoundError:
        return b""
