"""Check that the disks have space for the next run: the project's, the cache's, that of temporary files."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pipeline.core.errors import UserError
from pipeline.core.paths import PREPARED_FOLDER
from pipeline.core.text import format_count
from pipeline.doctor.check_finding import CheckFinding
from pipeline.finetune.disk_needs import MIN_CHECKPOINT_SHARE
from pipeline.storage.disk_space import count_free_bytes

if TYPE_CHECKING:
    from pipeline.doctor.examined_project import ExaminedProject

MIN_FREE: Final = 1_000_000_000
"""With less on a disk, something fails soon: logs, databases, temporary files."""
MIN_FREE_INODES: Final = 10_000
MEASURE_SECONDS: Final = 2.0
"""The images are measured for so long; what was found until then is needed at least."""
_ADVICE: Final = "free some space: docs/how-to/troubleshooting.md says how"


def check_disk_space(project: ExaminedProject) -> Iterator[CheckFinding]:
    """Check free space and free inodes of each disk that the next run writes to."""
    needed = estimate_needed_bytes(project)
    problems, free = [], 0
    for folder, what in _list_folders(project):
        left = count_free_bytes(folder)
        free = free or left
        wanted = needed if folder == project.root else 0
        problems += [*_judge_space(folder, what, left=left, needed=wanted), *_judge_inodes(folder, what)]
    yield from problems
    if not problems:
        seen = f"{free / 1e9:,.1f} GB free; the next run needs at least {needed / 1e9:.2f} GB"
        yield CheckFinding("ok", seen)


def estimate_needed_bytes(project: ExaminedProject) -> int:
    """Return the bytes that the next run writes at least: checkpoints, and images not prepared yet."""
    try:
        config = project.config
    except (UserError, ImportError):
        return 0
    from pipeline.storage.base_weights import find_base_weights

    base = find_base_weights(config.model.weights, config.model.folder)
    checkpoints = int(MIN_CHECKPOINT_SHARE * base.stat().st_size) if base else 0
    prepared = 0 if (project.root / PREPARED_FOLDER).exists() else _measure_source(project)
    return checkpoints + prepared


def _measure_source(project: ExaminedProject) -> int:
    """Return the bytes of the source images, as many as are found in `MEASURE_SECONDS`."""
    from pipeline.config.source_paths import list_source_paths, resolve_source_path
    from pipeline.storage.fingerprint import iterate_source_files

    source, size, end = project.config.data.source, 0, time.monotonic() + MEASURE_SECONDS
    for text in list_source_paths(source) if source else ():
        place = resolve_source_path(project.root, text)
        with suppress(OSError, UserError):
            for file in iterate_source_files(place) if place.is_dir() else [place]:
                size += file.stat().st_size
                if time.monotonic() > end:
                    return size
    return size


def _list_folders(project: ExaminedProject) -> Iterator[tuple[Path, str]]:
    """Yield a folder on each disk that a run writes to, the project's first."""
    yield project.root, "the project"
    known = {_find_device(project.root)}
    others = [(Path(tempfile.gettempdir()), "temporary files (TMPDIR)")]
    with suppress(UserError, ImportError):
        others.append((project.dvc_settings.cache, "DVC's cache"))
    for folder, what in others:
        device = _find_device(folder)
        if device not in known:
            known.add(device)
            yield folder, what


def _find_device(folder: Path) -> int:
    place = next(path for path in (folder, *folder.parents) if path.exists())
    return place.stat().st_dev


def _judge_space(folder: Path, what: str, *, left: int, needed: int) -> Iterator[CheckFinding]:
    where = f"the disk of {what} ({folder}) has {left / 1e9:,.2f} GB left"
    if left < needed:
        yield CheckFinding("fault", f"{where}; the next run needs at least {needed / 1e9:.2f} GB", _ADVICE)
    elif left < MIN_FREE:
        yield CheckFinding("warning", where, _ADVICE)


def _judge_inodes(folder: Path, what: str) -> Iterator[CheckFinding]:
    """Check that files can be created: a disk may have space, and no inode for another file."""
    place = next(path for path in (folder, *folder.parents) if path.exists())
    found = os.statvfs(place)
    if found.f_files and found.f_favail < MIN_FREE_INODES:
        left = format_count(found.f_favail, "further file")
        seen = f"the disk of {what} ({folder}) has room for {left}, whatever its space"
        yield CheckFinding("warning", seen, "delete folders with many small files")
