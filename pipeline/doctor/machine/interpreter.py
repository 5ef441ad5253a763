"""Check Python: its version, and that DVC starts the stages with this one."""

from __future__ import annotations

import platform
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pipeline.doctor.check_finding import CheckFinding

if TYPE_CHECKING:
    from pipeline.doctor.examined_project import ExaminedProject

OLDEST: Final = (3, 11)
NEWEST: Final = (3, 13)
"""The versions of Python that requirements.lock has packages for, as the Makefile says."""
_ADVICE: Final = "run `source .venv/bin/activate` before `dvc repro`, or use `make repro`"


def check_interpreter(_: ExaminedProject) -> Iterator[CheckFinding]:
    """Check the version of Python, and which `python` is first on the path: dvc.yaml names it without one."""
    version = platform.python_version()
    if not OLDEST <= sys.version_info[:2] <= NEWEST:
        yield CheckFinding(
            "fault",
            f"Python {version} is not supported: 3.11, 3.12 or 3.13 is needed",
            "run `make setup PYTHON=python3.11`",
        )
        return
    found = shutil.which("python")
    if found is None:
        yield CheckFinding(
            "warning", "there is no `python` on the path, which DVC starts the stages with", _ADVICE
        )
    elif _find_folder(found) != _find_folder(sys.executable):
        seen = f"DVC would start the stages with {found}, which is not this Python ({sys.executable})"
        yield CheckFinding("warning", seen, _ADVICE)
    else:
        yield CheckFinding("ok", f"Python {version} ({sys.executable})")


def _find_folder(executable: str) -> Path:
    """Return the folder of an executable; that of its environment, not of the Python it was made from."""
    return Path(executable).parent.resolve()
