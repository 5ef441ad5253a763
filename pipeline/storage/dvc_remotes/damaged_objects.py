"""Find objects of DVC's cache whose contents are not those of their names, and set them aside.

DVC takes every read-only file of its cache for intact, and never reads it again before it uses it.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Final

from pipeline.storage.dvc_remotes.tracked_objects import FOLDER_SUFFIX
from pipeline.storage.scratch_folder import create_scratch_folder

_THREADS: Final = max(2, min(8, os.cpu_count() or 1))
"""Threads that hash files: some wait for the disk."""


def hash_md5(path: Path) -> str:
    """Return the MD5 of a file, as DVC names contents."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def find_damaged_objects(files: Mapping[str, Path], count_done: Callable[[int], None]) -> list[str]:
    """Return the objects whose files have other contents.

    Args:
        files: The file of each object.
        count_done: Called for each file that is verified.

    Raises:
        OSError: A file cannot be read.
    """
    damaged = []
    with ThreadPoolExecutor(_THREADS) as pool:
        for oid, found in zip(files, pool.map(hash_md5, files.values()), strict=True):
            count_done(1)
            if found != oid.removesuffix(FOLDER_SUFFIX):
                damaged.append(oid)
    return damaged


def set_object_aside(oid: str, path: Path, used: Path | None = None) -> Path:
    """Move a damaged object out of the cache, into .finetrack/damaged, and return its new path.

    DVC knows then that it does not have it, and fetches or makes it again.

    Args:
        oid: The object.
        path: Its file in the cache.
        used: The workspace's file of these contents: deleted if it is a link to the damaged one.
    """
    if used is not None:
        with suppress(OSError):
            if used.samefile(path) and not used.is_dir():
                used.unlink()
    target = create_scratch_folder("damaged") / oid
    target.unlink(missing_ok=True)
    shutil.move(path, target)
    return target


def replace_from_workspace(oid: str, path: Path, used: Path) -> bool:
    """Put the workspace's file into the cache if its contents are the right ones; return whether they are.

    Args:
        oid: The object.
        path: Its file in the cache, which is absent.
        used: The workspace's file.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        shutil.copyfile(used, temporary)
        if hash_md5(temporary) != oid:
            return False
        temporary.chmod(0o444)
        temporary.replace(path)
    except OSError:
        return False
    finally:
        temporary.unlink(missing_ok=True)
    return True
