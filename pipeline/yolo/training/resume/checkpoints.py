"""Checkpoints of a training in progress: written completely, named by their hash, two generations kept.

A file is called EPOCH-SHA256.ckpt. If its contents do not have this hash, the file is damaged, and the older
generation is used. A file holds only tensors and plain values, so loading it runs no code.
"""

from __future__ import annotations

import hashlib
import io
import logging
import re
from pathlib import Path
from typing import Any, Final

import torch

from pipeline.core.errors import UserError
from pipeline.core.machine_errors import describe_full_disk, describe_machine_error, is_disk_full
from pipeline.storage.files import hash_file, write_file

MAX_GENERATIONS: Final = 2
FILE_NAME: Final = re.compile(r"(\d{6})-([0-9a-f]{64})\.ckpt")
LOG = logging.getLogger("ultralytics")


def save_checkpoint(folder: Path, epoch: int, state: dict[str, Any]) -> None:
    """Write one generation and read it back; only then delete the generation before the last.

    Args:
        folder: Of this training only.
        epoch: Number of finished epochs.
        state: Tensors and plain values.

    Raises:
        UserError: The file cannot be written, for example on a full disk. Older generations stay as they are.
    """
    buffer = io.BytesIO()
    torch.save(state, buffer)
    contents = buffer.getvalue()
    path = folder / f"{epoch:06d}-{hashlib.sha256(contents).hexdigest()}.ckpt"
    try:
        write_file(path, contents)
    except OSError as error:
        raise _explain_write_error(folder, error) from error
    if _is_intact(path):
        for old in _list_generations(folder)[MAX_GENERATIONS:]:
            old.unlink()


def has_checkpoint(folder: Path) -> bool:
    """Tell whether there is an intact generation, without loading it into memory."""
    return any(_is_intact(path) for path in _list_generations(folder))


def load_newest_checkpoint(folder: Path) -> dict[str, Any] | None:
    """Load the newest intact generation. None where there is none: the training starts from the beginning."""
    for path in _list_generations(folder):
        state = _load_generation(path) if _is_intact(path) else None
        if state is not None:
            return state
        LOG.warning(f"the checkpoint {path.name[:6]} in {folder} is damaged and is skipped")
    return None


def _load_generation(path: Path) -> dict[str, Any] | None:
    """Load a generation; None if it holds something other than tensors and plain values."""
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a foreign file can make torch raise anything
        if describe_machine_error(error):  # such as too little memory: it says nothing about the file
            raise
        return None
    return state


def _list_generations(folder: Path) -> list[Path]:
    found = (path for path in folder.glob("*.ckpt") if FILE_NAME.fullmatch(path.name))
    return sorted(found, key=lambda path: path.name[:6], reverse=True)


def _is_intact(path: Path) -> bool:
    named = FILE_NAME.fullmatch(path.name)
    return bool(named and hash_file(path) == named[2])


def _explain_write_error(folder: Path, error: OSError) -> UserError:
    if is_disk_full(error):
        return UserError(f"{describe_full_disk(folder)}; the training continues from its last checkpoint")
    reason = error.strerror
    return UserError(
        f"the checkpoint could not be written to {folder} ({reason}): "
        "fix this and run again; the training continues from the epoch before"
    )
