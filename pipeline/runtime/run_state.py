"""Collect what restores a run: the commit and what differs from it, locks, versions, the machine.

`finetune` and `evaluate` log it with the run, below `iteration/STAGE`; `restore` reads it again.
"""

from __future__ import annotations

import json
import platform
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from pipeline.core.errors import UserError
from pipeline.core.paths import (
    COMPOSE_LOCK_FILE,
    MACHINE_SETTINGS,
    PARAMS_FILE,
    RUN_INPUT_FOLDERS,
    RUN_OUTPUTS,
    SPLITS_FILE,
    SPLITS_LOCK_FILE,
    TRAINING_METRICS_FILE,
)
from pipeline.core.version import VERSION
from pipeline.runtime.code_state import read_code_state
from pipeline.storage.files import hash_file, write_file
from pipeline.storage.finished_trainings import DVC_LOCK_FILE
from pipeline.storage.git_commands import run_git
from pipeline.storage.scratch_folder import create_scratch_folder

STATE_FOLDER: Final = "iteration"
"""Among the artifacts of a run: a folder for each stage that logged its state."""
STATE_FILE: Final = "state.json"
CHANGES_FILE: Final = "changes.patch"
"""What differed from the commit: `git apply` makes the state of the run from it."""
MAX_PATCH_BYTES: Final = 10_000_000
MAX_FILE_BYTES: Final = 50_000_000
"""Larger ones are not logged, and state.json says so. The split of 300,000 images has 25 MB."""
RECORDED_FILES: Final[Mapping[str, tuple[Path, ...]]] = {
    "finetune": (COMPOSE_LOCK_FILE, SPLITS_LOCK_FILE, DVC_LOCK_FILE, SPLITS_FILE),
    "evaluate": (COMPOSE_LOCK_FILE, DVC_LOCK_FILE, TRAINING_METRICS_FILE),
}
"""What is logged of the files that a run changes. Each stage finds the earlier ones in dvc.lock; the split of
the images, which may have megabytes, is logged once."""
LIBRARIES: Final = ("ultralytics", "torch", "torchvision", "numpy", "opencv-python", "opencv-python-headless")
"""Libraries that decide the result of a training or an evaluation."""

_DIFF_OPTIONS: Final = (
    "--binary",
    "--full-index",
    "--no-color",
    "--no-ext-diff",
    "--no-renames",
    "--no-textconv",
    "--src-prefix=a/",
    "--dst-prefix=b/",
)
"""Whatever the user's configuration of git says, `git apply` reads what is written."""


@contextmanager
def collect_run_state(stage: str, params: bytes = b"") -> Iterator[Path]:
    """Yield a folder with the state of a run; it is deleted after the block.

    It holds state.json, params.yaml, the locks, and changes.patch where files differ from the commit: all
    tracked files of the project, and the untracked ones in conf/ and pipeline/ that git does not ignore.

    Args:
        stage: finetune or evaluate; the folder is named like it.
        params: The contents of params.yaml that the stage uses; empty for those of the file.
    """
    with tempfile.TemporaryDirectory(dir=create_scratch_folder(), prefix=".state.") as place:
        folder = Path(place, stage)
        folder.mkdir()
        left_out = _copy_files(folder, stage)
        if params or PARAMS_FILE.exists():
            write_file(folder / PARAMS_FILE, params or PARAMS_FILE.read_bytes())
        code = _record_code(folder)
        state = {**code, "left_out": left_out, "versions": read_versions(), "machine": describe_machine()}
        write_file(folder / STATE_FILE, json.dumps(state, indent=1, ensure_ascii=False, allow_nan=False))
        yield folder


def read_versions() -> dict[str, str]:
    """Return the versions of Python, of this project and of the libraries that decide results."""
    from importlib.metadata import PackageNotFoundError, version

    found = {"python": platform.python_version(), "finetrack": VERSION}
    for name in LIBRARIES:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def describe_machine() -> dict[str, str]:
    """Return what tells this machine from another: its name, system and processor."""
    return {"name": platform.node(), "system": platform.system(), "processor": _read_processor()}


def _read_processor() -> str:
    with suppress(OSError, StopIteration):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return platform.processor() or platform.machine()


def _copy_files(folder: Path, stage: str) -> list[str]:
    """Copy the recorded files; return the names of those that are too large."""
    left_out = []
    for file in RECORDED_FILES[stage]:
        with suppress(FileNotFoundError):
            if file.stat().st_size > MAX_FILE_BYTES:
                left_out.append(f"{file} ({_format_size(file.stat().st_size)})")
                continue
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, folder / file)
    return left_out


def _record_code(folder: Path) -> dict[str, Any]:
    """Write the patch, if files differ from the commit; return what state.json says of the code."""
    found = read_code_state(Path.cwd())
    code: dict[str, Any] = {"commit": found.commit, "dirty": found.is_dirty if found.commit else None}
    if not found.is_dirty:
        return code
    patch = folder / CHANGES_FILE
    try:
        write_changes(Path.cwd(), patch)
    except (UserError, OSError) as error:
        patch.unlink(missing_ok=True)
        return {**code, "no_changes": str(error)}
    size = patch.stat().st_size
    if size > MAX_PATCH_BYTES:
        patch.unlink()
        return {
            **code,
            "no_changes": f"they have {_format_size(size)}, more than {_format_size(MAX_PATCH_BYTES)}",
        }
    return {**code, "changes": {"bytes": size, "sha256": hash_file(patch)}}


def write_changes(project: Path, patch: Path) -> None:
    """Write what differs from the commit as a patch, whose paths begin at the top of the repository.

    The index stays as it is: git works on a copy.

    Args:
        project: The project's folder.
        patch: The file to write.

    Raises:
        GitError: Git cannot compare the files.
    """
    index = project / run_git(project, "rev-parse", "--git-path", "index")
    copy = patch.with_suffix(".index").resolve()
    try:
        if index.exists():
            shutil.copyfile(index, copy)
        variables = {"GIT_INDEX_FILE": str(copy)}
        folders = [path.as_posix() for path in RUN_INPUT_FOLDERS if (project / path).is_dir()]
        if folders:
            run_git(project, "add", "--intent-to-add", "--", *folders, variables=variables)
        left_out = [f":(exclude){path.as_posix()}" for path in (*RUN_OUTPUTS, MACHINE_SETTINGS)]
        run_git(
            project, "diff", *_DIFF_OPTIONS, f"--output={patch.resolve()}", "HEAD", "--", ".", *left_out,
            variables=variables,
        )  # fmt: skip
    finally:
        copy.unlink(missing_ok=True)


def _format_size(count: int) -> str:
    return f"{count / 1e6:.1f} MB"
