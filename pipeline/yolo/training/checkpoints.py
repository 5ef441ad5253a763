"""Checkpoints in progress: written whole, named by their contents, two generations kept.

A file is called EPOCH-SHA256.ckpt. A name that its contents do not bear out is a torn file, and the older
generation serves. Only tensors and plain values are inside, so reading one runs no code.
"""

from __future__ import annotations

import errno
import hashlib
import io
import logging
import re
from pathlib import Path
from typing import Any, Final

import torch

from pipeline.core.errors import UserError
from pipeline.storage import files

KEPT: Final = 2
NAME: Final = re.compile(r"(\d{6})-([0-9a-f]{64})\.ckpt")
LOG = logging.getLogger("ultralytics")


def save(folder: Path, epoch: int, state: dict[str, Any]) -> None:
    """Write one generation, read it back, and only then let go of the one before the last.

    Args:
        folder: This iteration's own.
        epoch: Finished epochs.
        state: Tensors and plain values.

    Raises:
        Refused: The disk is full; the generations before are untouched.
    """
    buffer = io.BytesIO()
    torch.save(state, buffer)
    contents = buffer.getvalue()
    path = folder / f"{epoch:06d}-{hashlib.sha256(contents).hexdigest()}.ckpt"
    try:
        files.write(path, contents)
    except OSError as error:
        raise _refusal(folder, error) from error
    if _sound(path):
        for old in _generations(folder)[KEPT:]:
            old.unlink()


def left(folder: Path) -> bool:
    """Tell whether there is a sound generation, without reading it into memory."""
    return any(_sound(path) for path in _generations(folder))


def newest(folder: Path) -> dict[str, Any] | None:
    """Read the newest sound generation; None where there is none, and the training starts afresh."""
    for path in _generations(folder):
        if _sound(path):
            state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
            return state
        LOG.warning(f"the checkpoint {path.name[:6]} in {folder} is torn and is left out")
    return None


def _generations(folder: Path) -> list[Path]:
    found = (path for path in folder.glob("*.ckpt") if NAME.fullmatch(path.name))
    return sorted(found, key=lambda path: path.name[:6], reverse=True)


def _sound(path: Path) -> bool:
    named = NAME.fullmatch(path.name)
    return bool(named and files.sha256(path) == named[2])


def _refusal(folder: Path, error: OSError) -> UserError:
    reason = "the disk is full" if error.errno in {errno.ENOSPC, errno.EDQUOT} else error.strerror
    return UserError(
        f"the checkpoint could not be written to {folder} ({reason}): "
        "mend that and run again, and the training goes on from the epoch before"
    )
