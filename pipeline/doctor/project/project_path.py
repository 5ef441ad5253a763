"""Check the project's folder: its access rights, its path, and where temporary files go."""

from __future__ import annotations

import os
import tempfile
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pipeline.doctor.check_finding import CheckFinding
from pipeline.storage.scratch_folder import ROOT_VARIABLE

if TYPE_CHECKING:
    from pipeline.doctor.examined_project import ExaminedProject

WRITTEN_FOLDERS: Final = (
    *(
        ".",
        ".finetrack",
        ".finetrack/locks",
        ".finetrack/outbox",
        ".finetrack/checkpoints",
        ".dvc",
        ".dvc/tmp",
    ),
    *("data", "models", "reports", "mlruns"),
)
MAX_TEMPORARY_PATH: Final = 71
"""Bytes of the path of temporary files: with torch's own names the path of a socket has 107 then, the most
that Linux allows. A longer one leaves a training with several loaders waiting for good."""


def check_project_path(project: ExaminedProject) -> Iterator[CheckFinding]:
    """Check the folder of the project and that of temporary files."""
    problems = [*_check_rights(project), *_check_name(project.root), *_check_variables(), *_check_temporary()]
    yield from problems
    if not problems:
        yield CheckFinding("ok", str(project.root))


def _check_rights(project: ExaminedProject) -> Iterator[CheckFinding]:
    """Check that folders can be written: a container may have made some of them as another user."""
    for name in WRITTEN_FOLDERS:
        folder = project.root / name
        if folder.exists() and not os.access(folder, os.W_OK | os.X_OK):
            seen = f"{folder} cannot be written: commands that run stages fail"
            advice = "change its access rights or its owner, or mount its disk for writing"
            yield CheckFinding("fault", seen, advice)
            return


def _check_name(root: Path) -> Iterator[CheckFinding]:
    if any(unicodedata.category(letter) in {"Cc", "Cs"} for letter in str(root)):
        seen = f"the path {str(root)!r} holds control characters, or bytes that are no UTF-8"
        yield CheckFinding("fault", seen, "rename the folder: YAML and DVC cannot name it")
    elif os.pathsep in str(root):
        seen = f"the path {root} holds `{os.pathsep}`, which ends an entry of PATH: .venv cannot be activated"
        yield CheckFinding("warning", seen, "rename the folder")


def _check_variables() -> Iterator[CheckFinding]:
    for name in (ROOT_VARIABLE, "DVC_ROOT"):
        value = os.environ.get(name)
        if value and Path(value).resolve() != Path.cwd():
            seen = f"{name}={value} names another project: messages, checkpoints and runs go there"
            yield CheckFinding(
                "fault", seen, f"run `unset {name}`: DVC and sweeps set it for their stages alone"
            )


def _check_temporary() -> Iterator[CheckFinding]:
    try:
        folder = tempfile.gettempdir()  # it tries to write into each of several folders
    except FileNotFoundError as error:
        yield CheckFinding("fault", str(error), "set TMPDIR to a folder that can be written")
        return
    size = len(os.fsencode(folder))
    if size > MAX_TEMPORARY_PATH:
        seen = (
            f"TMPDIR has {size} bytes; processes that load images need a path of {MAX_TEMPORARY_PATH} at most"
        )
        yield CheckFinding(
            "warning", f"{seen} for their sockets", "set TMPDIR to a shorter path, such as /tmp"
        )
