"""Checkpoint folders of incomplete trainings: lock them, and delete abandoned ones."""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from pipeline.core.errors import UserError
from pipeline.core.text import format_count
from pipeline.storage.files import hold_writer_lock
from pipeline.storage.scratch_folder import create_scratch_folder

MAX_CHECKPOINT_AGE_DAYS: Final = 30
"""Checkpoints of a stopped training are deleted after so many days."""


@contextlib.contextmanager
def lock_checkpoint_folder(key: str) -> Iterator[Path]:
    """Lock and yield the folder for the checkpoints of a training; delete it if the block succeeds.

    Args:
        key: The run key of the training.

    Raises:
        UserError: Another process runs this training.
    """
    folder = create_scratch_folder("checkpoints", key)
    with _lock_training(key):
        yield folder
        shutil.rmtree(folder)


def delete_abandoned_checkpoints(key: str) -> list[str]:
    """Delete checkpoints of other trainings that did not change for `MAX_CHECKPOINT_AGE_DAYS`.

    Args:
        key: The run key of the training whose checkpoints are kept, of any age.

    Returns:
        One line about the deleted checkpoints; an empty list where there were none.
    """
    oldest = time.time() - MAX_CHECKPOINT_AGE_DAYS * 86_400
    folders = create_scratch_folder("checkpoints").iterdir()
    old = [path for path in folders if _get_modification_time(path) < oldest]
    sizes = [_delete_folder(folder) for folder in old if folder.is_dir() and folder.name != key]
    deleted = [size for size in sizes if size is not None]
    if not deleted:
        return []
    what = format_count(len(deleted), "training that was stopped", "trainings that were stopped")
    size = f"{sum(deleted) / 1e6:,.0f} MB"
    return [f"deleted the checkpoints of {what} more than {MAX_CHECKPOINT_AGE_DAYS} days ago ({size})"]


def _get_modification_time(path: Path) -> float:
    """Return the time of the last change; now for a folder that another process has just deleted."""
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return time.time()


def _delete_folder(folder: Path) -> int | None:
    """Delete a folder and return its size in bytes; None where another process uses it."""
    with contextlib.suppress(UserError), _lock_training(folder.name):
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        shutil.rmtree(folder, ignore_errors=True)
        return size
    return None


def _lock_training(key: str) -> contextlib.AbstractContextManager[None]:
    return hold_writer_lock(create_scratch_folder("locks") / f"{key}.lock", what=f"the training {key[:6]}")
