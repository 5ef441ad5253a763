"""Locate the project folder, and its scratch folder .finetrack for unfinished work. Standard library only."""

from __future__ import annotations

import os
from pathlib import Path


def project_root() -> Path:
    """Return the project's folder, also in DVC's temporary copies of it, where DVC_ROOT names it."""
    return Path(os.environ.get("DVC_ROOT") or Path.cwd()).resolve()


def create_scratch_folder(*parts: str) -> Path:
    """Create a folder below .finetrack, outside every DVC out and shared by DVC's temporary copies."""
    folder = project_root().joinpath(SCRATCH_FOLDER, *parts)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


SCRATCH_FOLDER = ".finetrack"
