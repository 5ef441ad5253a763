"""Trainings that are not at their end: where their checkpoints lie, and when nobody will go on with them."""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from pipeline.core.errors import UserError
from pipeline.core.text import format_count
from pipeline.storage import files
from pipeline.storage.files import one_writer

DAYS: Final = 30
"""After so many a stopped training is given up: whoever wants it trains it anew."""


@contextlib.contextmanager
def one_training(key: str) -> Iterator[Path]:
    """Give the folder for the checkpoints of an iteration; with the block's good end it goes.

    Args:
        key: The iteration's.

    Raises:
        Refused: Another process trains this iteration.
    """
    folder = files.scratch("checkpoints", key)
    with _held(key):
        yield folder
        shutil.rmtree(folder)


def forget_abandoned(key: str) -> list[str]:
    """Delete checkpoints of other iterations that nobody has touched for DAYS days.

    Args:
        key: Of the iteration whose checkpoints stay, however old.

    Returns:
        What was deleted, in a line; nothing where there was nothing to delete.
    """
    given_up = time.time() - DAYS * 86_400
    old = [path for path in files.scratch("checkpoints").iterdir() if _touched(path) < given_up]
    sizes = [_delete(folder) for folder in old if folder.is_dir() and folder.name != key]
    deleted = [size for size in sizes if size is not None]
    if not deleted:
        return []
    what = format_count(len(deleted), "training that was stopped", "trainings that were stopped")
    return [f"deleted the checkpoints of {what} more than {DAYS} days ago ({sum(deleted) / 1e6:,.0f} MB)"]


def _touched(path: Path) -> float:
    """Return when a folder was changed last; one that another process has just removed was changed now."""
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return time.time()


def _delete(folder: Path) -> int | None:
    """Delete a folder and return its bytes; None where a process is at work on it."""
    with contextlib.suppress(UserError), _held(folder.name):
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        shutil.rmtree(folder, ignore_errors=True)
        return size
    return None


def _held(key: str) -> contextlib.AbstractContextManager[None]:
    return one_writer(files.scratch("locks") / f"{key}.lock", what=f"the training {key[:6]}")
