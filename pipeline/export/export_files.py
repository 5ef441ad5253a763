"""Where exported files are made, and where they are kept."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from pipeline.core.errors import UserError
from pipeline.iterations.weights_file import name_facts_file
from pipeline.storage.files import write_file, write_folder
from pipeline.storage.scratch_folder import create_scratch_folder

_PREFIX: Final = "export-"
"""Begins the names of folders in which a file is made."""
_MAX_EXPORT_SECONDS: Final = 24 * 3600.0
"""An export takes less: an older folder was left by a killed process."""


@contextmanager
def open_export_folder() -> Iterator[Path]:
    """Yield an empty folder of the project with a plain name, which is deleted after the block.

    Those that killed processes left are deleted first.
    """
    place = create_scratch_folder("exports")
    for folder in place.glob(f"{_PREFIX}*"):
        with suppress(OSError):  # its process has just deleted it
            if time.time() - folder.stat().st_mtime > _MAX_EXPORT_SECONDS:
                shutil.rmtree(folder)
    with TemporaryDirectory(dir=place, prefix=_PREFIX) as name:
        yield Path(name)


def require_free_target(target: Path, weights: str) -> None:
    """Check that a file may be written, or replaced by one of the same weights.

    Args:
        target: The file or folder.
        weights: SHA-256 of the checkpoint.

    Raises:
        UserError: There is a file of other weights, or one that was not exported here.
    """
    if not target.exists():
        return
    try:
        known = json.loads(name_facts_file(target).read_text(encoding="utf-8"))["weights"]
    except (OSError, ValueError, KeyError, TypeError):
        known = None
    if known != weights:
        raise UserError(
            f"{target} exists and is not of these weights: move it away, or choose another --output"
        )


def write_export(exported: Path, target: Path, facts: Mapping[str, Any]) -> Path:
    """Write an exported file or folder, whole or not at all, and its facts beside it; return where it is.

    Args:
        exported: The file or folder; it is copied.
        target: Where to write; it is replaced.
        facts: For the JSON file beside it.
    """
    if exported.is_dir():
        with write_folder(target) as folder:
            shutil.copytree(exported, folder, dirs_exist_ok=True)
    else:
        write_file(target, exported.read_bytes())
    text = json.dumps(facts, indent=2, ensure_ascii=False, allow_nan=False)
    write_file(name_facts_file(target), f"{text}\n")
    return target
