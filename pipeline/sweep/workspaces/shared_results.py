"""What a job leaves in its workspace for the next one with the same images: what DVC has recorded of them.

The files of the prepared images stay anyway, since git ignores them. Without the records DVC would restore
them from its cache, which copies all of them again.
"""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, NamedTuple

from pipeline.core.paths import PARAMS_FILE
from pipeline.storage.files import write_file
from pipeline.sweep.job import SweepJob
from pipeline.sweep.workspaces.stale_results import list_stages_up_to, read_lock_stages, write_lock_stages

NOTE_FILE: Final = Path(".dvc/tmp/finetrack-shared.json")
"""Names what the records in the workspace were made from; git and DVC ignore its folder."""
_MAX_FILE_BYTES: Final = 64_000_000


class SharedResults(NamedTuple):
    """Records of the stages before finetune.

    Attributes:
        stages: Their entries in dvc.lock.
        files: The contents of their outputs that are files, by path.
    """

    stages: dict[str, Any]
    files: dict[str, bytes]


NO_RESULTS: Final = SharedResults({}, {})


def note_shared_results(folder: Path, job: SweepJob, *, commit: str) -> None:
    """Note that the stages before finetune are done, and recorded: called when finetune has begun.

    Args:
        folder: Of the workspace.
        job: That runs in it.
        commit: Of the sweep.
    """
    write_file(folder / NOTE_FILE, json.dumps({"commit": commit, "shared": job.shared}, allow_nan=False))


def read_shared_results(folder: Path, job: SweepJob, *, commit: str) -> SharedResults:
    """Read what a job shares with the last one; nothing if that had other images, or did not reach finetune.

    The note of the last job is deleted: the next one is that of this job.

    Args:
        folder: Of the workspace, as the last job left it.
        job: That comes next.
        commit: Of the sweep.
    """
    try:
        note = json.loads((folder / NOTE_FILE).read_text("utf-8"))
        (folder / NOTE_FILE).unlink()
    except (OSError, ValueError):
        return NO_RESULTS
    if note != {"commit": commit, "shared": job.shared}:
        return NO_RESULTS
    lock = read_lock_stages(folder)
    names = (list_stages_up_to("finetune", lock) | {"compose"}) - {"finetune"}
    stages = {name: stage for name, stage in lock.items() if name in names}
    return SharedResults(stages, _read_files(folder, stages)) if stages else NO_RESULTS


def write_shared_results(folder: Path, shared: SharedResults) -> None:
    """Write records again, after the workspace got the files of the sweep's commit."""
    if not shared.stages:
        return
    for name, content in shared.files.items():
        write_file(folder / name, content)
    write_lock_stages(folder, read_lock_stages(folder) | shared.stages)


def _read_files(folder: Path, stages: dict[str, Any]) -> dict[str, bytes]:
    """Read the outputs that git tracks, such as compose.lock.json; DVC writes params.yaml for each job."""
    found = {}
    for stage in stages.values():
        for out in stage.get("outs", ()):
            path = folder / out["path"]
            with suppress(OSError):
                if (
                    path.is_file()
                    and out["path"] != str(PARAMS_FILE)
                    and path.stat().st_size < _MAX_FILE_BYTES
                ):
                    found[out["path"]] = path.read_bytes()
    return found
