"""Decide whether decoded images fit into memory or onto the disk. Ultralytics knows no container's limit."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path
from typing import Final

from pipeline.runtime.memory import read_available_memory
from pipeline.yolo.distributed.group_member import read_member

LOG = logging.getLogger("ultralytics")
MEMORY_MARGIN: Final = 2.0
"""Decoded images may take half of the free memory: batches, other programs and val need some, too."""
DISK_MARGIN: Final = 1.1


def fit_into_memory(count: int, *, prefix: str) -> bool:
    """Tell whether decoded images fit into memory, and log a line where they do not.

    Each process of a training on this machine keeps all of them.

    Args:
        count: Their bytes in one process.
        prefix: Starts the line: the split.
    """
    needed, free = count * read_member().local_size, read_available_memory()
    if MEMORY_MARGIN * needed <= free:
        return True
    LOG.warning(
        f"{prefix}{needed / 1e9:.1f} GB of decoded images are more than half of the {free / 1e9:.1f} GB of "
        "free memory: images are read in every epoch (finetune.cache=disk decodes them once)"
    )
    return False


def fit_onto_disk(count: int, folder: Path, *, prefix: str) -> bool:
    """Tell whether decoded images fit onto the disk of a folder, and log a line where they do not.

    Args:
        count: The bytes of those that are not there yet.
        folder: Where they are stored; it exists.
        prefix: Starts the line: the split.
    """
    free = shutil.disk_usage(folder).free
    if DISK_MARGIN * count <= free:
        return True
    LOG.warning(
        f"{prefix}{count / 1e9:.1f} GB of decoded images do not fit onto the disk of {folder}, which has "
        f"{free / 1e9:.1f} GB free: images are read in every epoch"
    )
    return False
