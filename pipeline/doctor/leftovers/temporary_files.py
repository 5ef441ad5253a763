"""Find temporary files and folders that killed processes left beside outputs, in .finetrack and in .dvc/tmp.

Those of `write_file` and `write_folder` are locked while their process lives. Others say nothing of their
process: they count as left when they are old, and no process of the project is older than they are.
"""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pipeline.core.errors import UserError
from pipeline.core.paths import (
    AUGMENTED_FOLDER,
    EVALUATION_FOLDER,
    FINETUNED_FOLDER,
    PREPARED_FOLDER,
    PREVIEW_FOLDER,
    RUN_OUTPUTS,
    TEST_METRICS_FILE,
    TRAINING_METRICS_FILE,
    TRAINING_PLOTS_FOLDER,
)
from pipeline.core.text import format_count
from pipeline.doctor.check_finding import CheckFinding
from pipeline.doctor.leftovers.file_locks import (
    find_lock_holder,
    hold_free_lock,
    is_on_network_disk,
    is_own_file,
    require_free_locks,
)
from pipeline.storage.files import RANDOM_PART

if TYPE_CHECKING:
    from pipeline.doctor.examined_project import ExaminedProject

MIN_LOCKED_AGE_SECONDS: Final = 10.0
"""A process locks its temporary file in the moment after it has created it."""
MIN_AGE_SECONDS: Final = 3600.0
"""Of what is not locked: commands need their temporary folders for minutes."""
MIN_TMP_AGE_SECONDS: Final = 86_400.0
"""The same in .finetrack/tmp, where other programs write, too."""
MEASURE_SECONDS: Final = 1.0
LOCKED_NAME: Final = re.compile(rf"^\.(.+)\.{RANDOM_PART}$")
"""Names of `write_file` and `write_folder`: that of the output, and eight random characters."""
OUTPUT_FOLDERS: Final = (".", "data", "models", "reports", "reports/training")
KNOWN_OUTPUTS: Final = (
    *(*RUN_OUTPUTS, PREPARED_FOLDER, AUGMENTED_FOLDER, FINETUNED_FOLDER),
    *(TRAINING_METRICS_FILE, TRAINING_PLOTS_FOLDER, TEST_METRICS_FILE, EVALUATION_FOLDER, PREVIEW_FOLDER),
)
"""What is looked for also where dvc.yaml cannot be read."""
SCRATCH_FOLDERS: Final = (
    *("checkpoints", "checkpoints/*", "composed", "compared", "damaged", "iterations", "placed", "replaced"),
    *("sources", "sweeps", "sweeps/*", "weights", "outbox/*", ""),
)
"""Folders of .finetrack into which files are written by a temporary name."""
UNLOCKED: Final = (
    *(".state.*", "ray-*", "weights/loading-*", "weights/tmp*", "exports/export-*", "iterations/tmp*"),
    *("iterations/.restore-*", "iterations/*/.fetch-*", "comparison/.compare-*", "registry/promote-*"),
    *("outbox/.*",),
)
"""Temporary files and folders in .finetrack that are not locked."""
DVC_COPIES: Final = ("exps/tmp*", "exps/standalone/tmp*")
"""Copies of the project in .dvc/tmp, in which `dvc exp run --temp` and its queue work."""


def check_temporary_files(project: ExaminedProject) -> Iterator[CheckFinding]:
    """Find what killed processes left."""
    found = [*list_leftovers(project)]
    if not found:
        yield CheckFinding("ok", "no temporary files of killed processes")
        return
    names = ", ".join(str(path.relative_to(project.root)) for path in found[:3])
    size, is_whole = measure_files(found)
    text = f"{size / 1e6:,.1f} MB{'' if is_whole else ' or more'}"
    what = format_count(len(found), "temporary file or folder", "temporary files and folders")
    seen = f"{what} of killed processes ({text}): {names}{' ...' if len(found) > 3 else ''}"
    repair = None if is_on_network_disk(project.root) else partial(_delete, project)
    yield CheckFinding(
        "warning", seen, "delete them while nothing runs; `finetrack doctor --fix` does it", repair
    )


def list_leftovers(project: ExaminedProject) -> list[Path]:
    """List those of this user that no living process of this machine uses."""
    limit = time.time() - MIN_LOCKED_AGE_SECONDS
    old = (path for path in _list_locked(project) if _get_change_time(path) < limit)
    locked = (path for path in old if find_lock_holder(path) is None)
    return sorted(path for path in {*locked, *_list_unlocked(project)} if is_own_file(path))


def _list_locked(project: ExaminedProject) -> Iterator[Path]:
    """Yield those that their process locks."""
    outputs = {path.name for path in (*KNOWN_OUTPUTS, *_list_outputs(project))}
    for folder in OUTPUT_FOLDERS:
        for path in (project.root / folder).glob(".*"):
            found = LOCKED_NAME.match(path.name)
            if found and found[1] in outputs:
                yield path
    for pattern in SCRATCH_FOLDERS:
        places = project.scratch.glob(pattern) if pattern else [project.scratch]
        for place in (place for place in places if place.is_dir()):
            yield from (path for path in place.glob(".*") if LOCKED_NAME.match(path.name))


def _list_outputs(project: ExaminedProject) -> Iterator[Path]:
    """Yield the outputs that dvc.yaml names, as far as it can be read."""
    with suppress(UserError, ImportError):
        from pipeline.doctor.records.lock_stages import list_stage_outputs

        yield from list_stage_outputs(project.root)


def _list_unlocked(project: ExaminedProject) -> Iterator[Path]:
    """Yield those that are old, and older than each command of the project that runs.

    Any program that `make` starts writes to .finetrack/tmp: there, each process in the project counts.
    """
    begun = [process.started for process in project.processes if process.is_command]
    places = [
        (project.scratch, UNLOCKED, [time.time() - MIN_AGE_SECONDS, *begun]),
        (project.root / ".dvc/tmp", DVC_COPIES, [time.time() - MIN_AGE_SECONDS, *begun]),
    ]
    all_begun = [process.started for process in project.processes]
    places.append((project.scratch / "tmp", ("*",), [time.time() - MIN_TMP_AGE_SECONDS, *all_begun]))
    for folder, patterns, limits in places:
        limit = min(limits)
        for path in (path for pattern in patterns for path in folder.glob(pattern)):
            if not LOCKED_NAME.match(path.name) and _get_change_time(path) < limit:
                yield path


def _get_change_time(path: Path) -> float:
    """Return the time of the last change; now for what has just been deleted."""
    try:
        return path.lstat().st_mtime
    except FileNotFoundError:
        return time.time()


def measure_files(paths: Iterable[Path]) -> tuple[int, bool]:
    """Return the bytes of files and folders that are found in `MEASURE_SECONDS`, and whether that is all."""
    size, end = 0, time.monotonic() + MEASURE_SECONDS
    for path in paths:
        for folder, _, names in [(str(path.parent), (), (path.name,))] if path.is_file() else os.walk(path):
            for name in names:
                with suppress(OSError):
                    size += Path(folder, name).lstat().st_size
            if time.monotonic() > end:
                return size, False
    return size, True


def _delete(project: ExaminedProject) -> str:
    """Delete what is left now; nothing if a command holds a lock of the project, as in another container."""
    require_free_locks(project.scratch)
    found = list_leftovers(project.examine_again())
    done = [path for path in found if _delete_unused(path)]
    if found and not done:
        raise UserError("they cannot be deleted, or a process has just begun to use them")
    return f"deleted {format_count(len(done), 'temporary file or folder', 'temporary files and folders')}"


def _delete_unused(path: Path) -> bool:
    """Delete a file or folder unless a process holds its lock; return whether it was deleted."""
    if path.is_symlink():
        path.unlink(missing_ok=True)
        return True
    with suppress(OSError), hold_free_lock(path) as free:
        if free and path.is_dir():
            shutil.rmtree(path)
        elif free:
            path.unlink(missing_ok=True)
        return free
    return False
