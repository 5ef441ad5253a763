"""Checkpoints of a training in progress: written completely, named by their hash, two generations kept.

A file is called EPOCH-SHA256.ckpt. If its contents do not have this hash, the file is damaged, and the older
generation is used. A file holds only tensors and plain values, so loading it runs no code.

The weights that finetune.save_period keeps are in files of their own, epochN-SHA256.ckpt, so that each is
written once. The generations name them; a training goes on without those that are lost or damaged.
"""

from __future__ import annotations

import hashlib
import io
import logging
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import torch

from pipeline.core.errors import UserError
from pipeline.core.machine_errors import describe_full_disk, describe_machine_error, is_disk_full
from pipeline.storage.files import hash_file, write_file

MAX_GENERATIONS: Final = 2
FILE_NAME: Final = re.compile(r"(\d{6})-([0-9a-f]{64})\.ckpt")
SAVED_FILE_NAME: Final = re.compile(r"(epoch\d+)-([0-9a-f]{64})\.ckpt")
LOG = logging.getLogger("ultralytics")


def save_checkpoint(folder: Path, epoch: int, state: dict[str, Any]) -> None:
    """Write one generation and read it back; only then delete the generation before the last.

    Generations of later epochs are deleted, too: they are damaged, so the training began again before them.

    Args:
        folder: Of this training only.
        epoch: Number of finished epochs.
        state: Tensors and plain values.

    Raises:
        UserError: The file cannot be written, for example on a full disk. Older generations stay as they are.
    """
    path = _write_hashed(folder, f"{epoch:06d}", state)
    if _is_intact(path):
        others = [other for other in _list_generations(folder) if other != path]
        earlier = [other for other in others if other.name[:6] < path.name[:6]]
        for other in set(others) - set(earlier[: MAX_GENERATIONS - 1]):
            other.unlink()


def save_epoch_weights(folder: Path, name: str, weights: Mapping[str, torch.Tensor]) -> str:
    """Write the weights of an epoch that finetune.save_period keeps.

    Args:
        folder: Of this training only.
        name: epochN, with N from 0.
        weights: The fp16 state dict.

    Returns:
        The name of the file, for the state.

    Raises:
        UserError: The file cannot be written, for example on a full disk.
    """
    return _write_hashed(folder, name, dict(weights)).name


def load_saved_weights(folder: Path, state: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield name and state dict of all weights that a state saves, those of each epoch as they are needed.

    Args:
        folder: Of the training.
        state: From `load_newest_checkpoint`, or one that was just written.
    """
    yield from state["weights"].items()
    for name, file in state["saved_epochs"].items():
        yield name, torch.load(folder / file, map_location="cpu", weights_only=True)


def _write_hashed(folder: Path, name: str, contents: dict[str, Any]) -> Path:
    buffer = io.BytesIO()
    torch.save(contents, buffer)
    written = buffer.getvalue()
    path = folder / f"{name}-{hashlib.sha256(written).hexdigest()}.ckpt"
    try:
        write_file(path, written)
    except OSError as error:
        raise _explain_write_error(folder, error) from error
    return path


def has_checkpoint(folder: Path) -> bool:
    """Tell whether there is an intact generation, without loading it into memory."""
    return any(_is_intact(path) for path in _list_generations(folder))


def load_newest_checkpoint(folder: Path) -> dict[str, Any] | None:
    """Load the newest intact generation. None where there is none: the training starts from the beginning.

    Of the epochs that finetune.save_period keeps, it names those whose weights are still there.
    """
    for path in _list_generations(folder):
        state = _load_generation(path) if _is_intact(path) else None
        if state is not None:
            return _forget_lost_epochs(folder, state)
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


def _forget_lost_epochs(folder: Path, state: dict[str, Any]) -> dict[str, Any]:
    """Leave out the saved epochs whose files are lost or damaged, and say so: they decide no later epoch."""
    saved = state.get("saved_epochs", {})
    kept = {name: file for name, file in saved.items() if _is_intact(folder / file)}
    if lost := [name for name in saved if name not in kept]:
        LOG.warning(f"the weights of {', '.join(lost)} in {folder} are lost or damaged, and are left out")
    return state | {"saved_epochs": kept}


def _list_generations(folder: Path) -> list[Path]:
    found = (path for path in folder.glob("*.ckpt") if FILE_NAME.fullmatch(path.name))
    return sorted(found, key=lambda path: path.name[:6], reverse=True)


def _is_intact(path: Path) -> bool:
    named = FILE_NAME.fullmatch(path.name) or SAVED_FILE_NAME.fullmatch(path.name)
    return bool(named and path.is_file() and hash_file(path) == named[2])


def _explain_write_error(folder: Path, error: OSError) -> UserError:
    if is_disk_full(error):
        return UserError(f"{describe_full_disk(folder)}; the training continues from its last checkpoint")
    reason = error.strerror
    return UserError(
        f"the checkpoint could not be written to {folder} ({reason}): "
        "fix this and run again; the training continues from the epoch before"
    )
