"""Keep the outputs of finished trainings until dvc.lock names them.

`compose` imports this module at every `dvc repro`: standard library only, and some imports in functions.

DVC writes dvc.lock after a stage has ended and its outputs are in the cache. If DVC is killed before, or the
cache's disk is full, the next `dvc repro` deletes the outputs and runs the stage again. The copy that is kept
below the key of the training then gives the same files at once.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from pipeline.core.errors import UserError
from pipeline.core.paths import TRAINING_METRICS_FILE
from pipeline.storage.files import hash_file, hold_writer_lock, write_file, write_folder
from pipeline.storage.scratch_folder import SCRATCH_FOLDER, create_scratch_folder, project_root

CHECKPOINTS_FOLDER: Final = "checkpoints"
"""In the scratch folder: a folder for each key of a training."""
DVC_LOCK_FILE: Final = Path("dvc.lock")
_FINISHED: Final = "finished"
_RECORD: Final = "finished.json"


def lock_training(key: str) -> contextlib.AbstractContextManager[None]:
    """Lock a training: one process at a time runs it, or deletes what is kept of it.

    Raises:
        UserError: Another process holds the lock.
    """
    return hold_writer_lock(create_scratch_folder("locks") / f"{key}.lock", what=f"the training {key[:6]}")


def keep_outputs(folder: Path, outputs: Sequence[Path], *, facts: dict[str, Any]) -> None:
    """Copy the outputs of a finished training below its folder, and delete its checkpoints.

    Args:
        folder: Of the training.
        outputs: Files and folders, relative to the working folder.
        facts: Further values for `read_finished`; JSON values.
    """
    with write_folder(folder / _FINISHED) as place:
        for output in outputs:
            _copy(output, place / output)
        files = (path for path in place.rglob("*") if path.is_file())
        hashes = {path.relative_to(place).as_posix(): hash_file(path) for path in files}
        record = {**facts, "files": hashes, "md5": _compute_md5(place / TRAINING_METRICS_FILE)}
        write_file(place / _RECORD, json.dumps(record, allow_nan=False))
    for other in folder.iterdir():
        if other.name != _FINISHED:
            _remove(other)


def read_finished(folder: Path) -> dict[str, Any] | None:
    """Return the facts about a finished training; None where there is none, or a file of it is damaged."""
    place = folder / _FINISHED
    try:
        record: dict[str, Any] = json.loads((place / _RECORD).read_text(encoding="utf-8"))
        intact = all(hash_file(place / name) == digest for name, digest in record["files"].items())
    except (OSError, ValueError):
        return None
    return record if intact else None


def restore_outputs(folder: Path, outputs: Sequence[Path]) -> None:
    """Write the outputs of a finished training again, byte for byte."""
    import shutil

    for output in outputs:
        kept = folder / _FINISHED / output
        if kept.is_dir():
            with write_folder(output) as made:
                shutil.copytree(kept, made, dirs_exist_ok=True)
        else:
            write_file(output, kept.read_bytes())


def delete_recorded_outputs(lock_file: Path = DVC_LOCK_FILE) -> None:
    """Delete the kept outputs that a dvc.lock names: DVC can restore them.

    One that another process is restoring stays until the next time.

    Args:
        lock_file: That of the working folder, or of a workspace after its job.
    """
    root = project_root() / SCRATCH_FOLDER / CHECKPOINTS_FOLDER
    records = [*root.glob(f"*/{_FINISHED}/{_RECORD}")]
    recorded = _read_text(lock_file) if records else ""
    for record in records:
        with contextlib.suppress(OSError, ValueError, UserError):
            if json.loads(_read_text(record))["md5"] in recorded:
                _delete_unchanged(record, _read_text(record))


def _delete_unchanged(record: Path, content: str) -> None:
    folder = record.parents[1]
    with lock_training(folder.name):
        if _read_text(record) == content:  # else another process has just trained again
            delete_training_folder(folder)


def delete_training_folder(folder: Path) -> None:
    """Delete the folder of a training and its lock file, while the lock is held.

    Each training has a lock file of its own. Who waits for it notices that it is gone, and makes a new one.
    """
    import shutil

    shutil.rmtree(folder)
    with contextlib.suppress(OSError):  # Windows deletes no open file
        (create_scratch_folder("locks") / f"{folder.name}.lock").unlink()


def _copy(source: Path, target: Path) -> None:
    """Copy a file or folder so that it survives a power loss, as the checkpoints do that are deleted next."""
    if source.is_dir():
        for path in source.iterdir():
            _copy(path, target / path.name)
    else:
        write_file(target, source.read_bytes())


def _remove(path: Path) -> None:
    import shutil

    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()


def _compute_md5(path: Path) -> str:
    """Return the MD5 of a file, as dvc.lock names it."""
    return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""
