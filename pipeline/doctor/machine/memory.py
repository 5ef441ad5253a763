"""Check the memory that is free, and the shared memory through which loaders pass images."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from pipeline.core.errors import UserError
from pipeline.core.machine_errors import SHARED_MEMORY_FOLDER
from pipeline.doctor.check_finding import CheckFinding
from pipeline.runtime.memory import read_available_memory

if TYPE_CHECKING:
    from pipeline.doctor.examined_project import ExaminedProject

MIN_MEMORY: Final = 1_000_000_000
"""Bytes that torch, MLflow and DVC need to be loaded at once, before the first image."""
MIN_SHARED_MEMORY: Final = 256_000_000
"""Bytes for the batches of a few loaders. Docker gives a container 64 MB."""


def check_memory(project: ExaminedProject) -> Iterator[CheckFinding]:
    """Check free memory and shared memory."""
    free, shared = read_available_memory(), _read_shared_memory()
    if free < MIN_MEMORY:
        yield CheckFinding(
            "warning",
            f"{free / 1e6:,.0f} MB of memory are free, too little for a training",
            "end other programs, or raise the limit of the container",
        )
    if shared is not None and shared < MIN_SHARED_MEMORY and _uses_workers(project):
        yield CheckFinding(
            "warning",
            f"{SHARED_MEMORY_FOLDER} has {shared / 1e6:,.0f} MB left for the processes that load images",
            "set finetune.workers=0, or start the container with `docker run --shm-size=2g`",
        )
    elif free >= MIN_MEMORY:
        more = "" if shared is None else f", {shared / 1e9:.1f} GB of shared memory"
        yield CheckFinding("ok", f"{free / 1e9:.1f} GB free{more}")


def _read_shared_memory() -> int | None:
    """Return the free bytes of the shared memory; None where the system has no such folder."""
    with suppress(OSError):
        return shutil.disk_usage(SHARED_MEMORY_FOLDER).free
    return None


def _uses_workers(project: ExaminedProject) -> bool:
    with suppress(UserError, ImportError):
        return project.config.finetune.workers > 0
    return True
