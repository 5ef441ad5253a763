"""Refuse sources that overlap with what the project writes. Standard library only."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import Final

from pipeline.compose.weight_fingerprints import STAGE_OUTPUTS
from pipeline.core.errors import UserError
from pipeline.storage.fingerprint import iterate_source_files
from pipeline.storage.scratch_folder import SCRATCH_FOLDER, project_root

PROJECT_FOLDERS: Final = (*STAGE_OUTPUTS, SCRATCH_FOLDER, ".dvc", ".git", "mlruns", "mlflow.db")
"""Folders and files that the stages, DVC, git and MLflow write."""


def refuse_project_folders(name: str, path: Path) -> None:
    """Refuse a source that contains what the project writes, or lies in it; links are resolved.

    Args:
        name: The source, as in data.source.
        path: Its path; it need not exist.

    Raises:
        UserError: It overlaps.
    """
    real = Path(os.path.realpath(path))  # unlike Path.resolve it accepts a link to itself
    root = project_root()
    for written in PROJECT_FOLDERS:
        target = Path(os.path.realpath(root / written))
        if target.is_relative_to(real) or real.is_relative_to(target):
            where = f" by a link to {real}" if real != Path(os.path.abspath(path)) else ""  # noqa: PTH100
            raise UserError(
                f"{name} overlaps{where} with {written}, which this project writes: "
                "keep source images in a folder of their own"
            )


def refuse_linked_folder(name: str, place: str, real: str) -> None:
    """Refuse a folder of a source that is reached by a link and overlaps with what the project writes.

    Args:
        name: The source, as in data.source.
        place: A folder in it.
        real: Its path with links resolved; equal to `place` where there is none.

    Raises:
        UserError: It overlaps.
    """
    if place != real:
        refuse_project_folders(name, Path(place))


def refuse_overlapping_source(name: str, path: Path) -> None:
    """Refuse a source as `refuse_project_folders` does, and for links to folders below it.

    Raises:
        UserError: It overlaps.
    """
    refuse_project_folders(name, path)
    if path.is_dir():
        for _ in iterate_source_files(path, partial(refuse_linked_folder, name)):
            pass
