"""Locate the project folder, and its scratch folder .finetrack for unfinished work. Standard library only."""

from __future__ import annotations

import os
from pathlib import Path

from pipeline.core.errors import UserError


def project_root() -> Path:
    """Return the project's folder, also in copies of it.

    FINETRACK_ROOT names it in the workspaces of a sweep, where DVC_ROOT is the workspace, DVC_ROOT in
    DVC's temporary copies.
    """
    return Path(os.environ.get(ROOT_VARIABLE) or os.environ.get("DVC_ROOT") or Path.cwd()).resolve()


def create_scratch_folder(*parts: str) -> Path:
    """Create a folder below .finetrack, outside every DVC out and shared by DVC's temporary copies.

    Raises:
        UserError: A part is no plain name. Some are read from runs and experiments, which others can write.
    """
    for part in parts:
        if part in {"", ".", ".."} or "/" in part or "\0" in part:
            raise UserError(
                f"{part[:100]!r} cannot be a folder of {SCRATCH_FOLDER}: the run or the experiment that says "
                "so was not written by this project"
            )
    folder = project_root().joinpath(SCRATCH_FOLDER, *parts)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


SCRATCH_FOLDER = ".finetrack"
ROOT_VARIABLE = "FINETRACK_ROOT"
