"""Read the manifest of the prepared dataset at a git revision."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from pipeline.core.errors import UserError
from pipeline.core.paths import PREPARED_FOLDER
from pipeline.dataset.manifest import Manifest, parse_manifest
from pipeline.dataset.prepared import MANIFEST_FILE
from pipeline.storage.dvc_repository import (
    MissingContentsError,
    RevisionReadError,
    UnknownRevisionError,
    read_file_at_revision,
)
from pipeline.storage.git import require_owned_repository
from pipeline.storage.scratch_folder import project_root

WORKSPACE: Final = "workspace"
"""Names the files on disk instead of a revision, as in DVC's own commands."""


def read_manifest_at_revision(revision: str) -> Manifest:
    """Read data/prepared/manifest.json of a revision, from DVC's cache or its remote.

    Args:
        revision: A commit, branch, tag, or DVC experiment; or `workspace`.

    Raises:
        UserError: The revision is unknown, it has no dataset, or its contents cannot be found.
    """
    text = _read_workspace() if revision == WORKSPACE else _read_revision(revision)
    try:
        return parse_manifest(text)
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"the manifest of {revision} cannot be used ({error!r:.80}): it may be of another version of "
            "this pipeline; compare revisions that it prepared"
        ) from None


def _read_workspace() -> str:
    path = PREPARED_FOLDER / MANIFEST_FILE
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UserError(f"the workspace has no {path}: run prepare first (dvc repro prepare)") from None


def _read_revision(revision: str) -> str:
    require_owned_repository(project_root())
    try:
        return read_file_at_revision(PREPARED_FOLDER / MANIFEST_FILE, revision)
    except UnknownRevisionError:
        raise UserError(
            f"git knows no revision {revision}: name a commit, a branch, a tag, an experiment, or {WORKSPACE}"
        ) from None
    except MissingContentsError:
        raise UserError(_explain_missing_contents(revision)) from None
    except RevisionReadError as error:
        raise UserError(f"{revision} cannot be read: {str(error).splitlines()[0]}") from None


def _explain_missing_contents(revision: str) -> str:
    """Distinguish a revision without a dataset from one whose dataset is stored elsewhere."""
    try:
        lock = read_file_at_revision(Path("dvc.lock"), revision)
    except RevisionReadError:
        lock = ""
    if f"path: {PREPARED_FOLDER.as_posix()}\n" not in lock:
        return f"{revision} has no dataset: no dvc.lock with {PREPARED_FOLDER} was committed there"
    return (
        f"the dataset of {revision} is neither in DVC's cache nor on a remote: fetch it where it is with "
        f"`dvc fetch --all-commits`, or make it anew with `git checkout {revision}` and `dvc repro prepare`"
    )
