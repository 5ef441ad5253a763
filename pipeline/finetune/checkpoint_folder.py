"""Folders of trainings, with the checkpoints or the kept outputs: lock them, and delete abandoned ones."""

from __future__ import annotations

import contextlib
import json
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from pipeline.core.errors import UserError
from pipeline.core.text import format_count
from pipeline.storage.files import write_file
from pipeline.storage.finished_trainings import CHECKPOINTS_FOLDER, delete_training_folder, lock_training
from pipeline.storage.scratch_folder import create_scratch_folder

RATE_TEST_FILE: Final = "rate_test.json"
"""In the folder of a training where finetune.lr0=auto: the test that chose its learning rate."""
TRAINING_FILE: Final = "training.json"
"""In the folder of a training that has begun: the id that its run in MLflow has, too."""
MAX_CHECKPOINT_AGE_DAYS: Final = 30
"""Checkpoints, and kept outputs that DVC never recorded, are deleted so many days after their last change."""


@contextlib.contextmanager
def lock_checkpoint_folder(key: str) -> Iterator[Path]:
    """Lock and yield the folder for the checkpoints, and later for the kept outputs, of a training.

    Args:
        key: The run key of the training.

    Raises:
        UserError: Another process runs this training.
    """
    folder = create_scratch_folder(CHECKPOINTS_FOLDER, key)
    with lock_training(key):
        folder.mkdir(exist_ok=True)  # another process may just have deleted it
        yield folder


def identify_training(folder: Path, *, is_resumed: bool) -> str:
    """Return the id of a training, by which its run is found again; a new training gets a new one.

    The run key does not tell it from the same training of another clone on a shared store.

    Args:
        folder: Of the training.
        is_resumed: Keep the id that was written before; a checkpoint of an earlier version has none yet.
    """
    path = folder / TRAINING_FILE
    if is_resumed:
        with contextlib.suppress(FileNotFoundError, ValueError, TypeError, KeyError):
            return uuid.UUID(str(json.loads(path.read_text(encoding="utf-8"))["id"])).hex
    drawn = uuid.uuid4().hex
    write_file(path, json.dumps({"id": drawn}, allow_nan=False))
    return drawn


def delete_abandoned_checkpoints(key: str) -> list[str]:
    """Delete checkpoints and kept outputs of other trainings, older than `MAX_CHECKPOINT_AGE_DAYS`.

    Args:
        key: The run key of the training whose folder stays, of any age.

    Returns:
        One line about what was deleted; an empty list where there was nothing.
    """
    oldest = time.time() - MAX_CHECKPOINT_AGE_DAYS * 86_400
    folders = create_scratch_folder(CHECKPOINTS_FOLDER).iterdir()
    old = [path for path in folders if _get_modification_time(path) < oldest]
    sizes = [_delete_folder(folder) for folder in old if folder.is_dir() and folder.name != key]
    deleted = [size for size in sizes if size is not None]
    if not deleted:
        return []
    what = format_count(len(deleted), "training that was", "trainings that were")
    size = f"{sum(deleted) / 1e6:,.0f} MB"
    days = f"more than {MAX_CHECKPOINT_AGE_DAYS} days ago"
    return [f"deleted the files of {what} stopped, or not recorded by DVC, {days} ({size})"]


def _get_modification_time(path: Path) -> float:
    """Return the time of the last change; now for a folder that another process has just deleted."""
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return time.time()


def _delete_folder(folder: Path) -> int | None:
    """Delete a folder and return its size in bytes; None where another process uses it."""
    with contextlib.suppress(UserError, OSError), lock_training(folder.name):
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        delete_training_folder(folder)
        return size
    return None
