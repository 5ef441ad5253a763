"""The prepared dataset as a git revision has it: its manifest, out of DVC's cache or its remote."""

from __future__ import annotations

from typing import Final

from pipeline.core.errors import UserError
from pipeline.core.paths import PREPARED
from pipeline.dataset import manifest
from pipeline.dataset.manifest import Manifest
from pipeline.dataset.prepared import MANIFEST

WORKSPACE: Final = "workspace"
"""The files as they lie there, whatever git says; so does DVC call it."""


def manifest_at(revision: str) -> Manifest:
    """Read data/prepared/manifest.json of a revision.

    Args:
        revision: A commit, branch, tag, or DVC experiment; or `workspace`.

    Raises:
        Refused: There is no such revision, no dataset in it, or its contents are nowhere to be had.
    """
    text = _in_workspace() if revision == WORKSPACE else _in_history(revision)
    try:
        return manifest.parse(text)
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"the manifest of {revision} cannot be used ({error!r:.80}): it may be of another version of "
            "this pipeline; compare revisions that it prepared"
        ) from None


def _in_workspace() -> str:
    path = PREPARED / MANIFEST
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UserError(f"the workspace has no {path}: run prepare first (dvc repro prepare)") from None


def _in_history(revision: str) -> str:
    import dvc.api  # half a second
    from dvc.exceptions import DvcException, PathMissingError
    from dvc.scm import RevError

    try:
        return str(dvc.api.read((PREPARED / MANIFEST).as_posix(), rev=revision))
    except RevError:
        raise UserError(
            f"git knows no revision {revision}: name a commit, a branch, a tag, an experiment, or {WORKSPACE}"
        ) from None
    except (PathMissingError, FileNotFoundError):
        raise UserError(_why_missing(revision)) from None
    except DvcException as error:
        raise UserError(f"{revision} cannot be read: {str(error).splitlines()[0]}") from None


def _why_missing(revision: str) -> str:
    """Tell a revision without a dataset from one whose dataset is not at hand."""
    import dvc.api
    from dvc.exceptions import DvcException

    try:
        lock = str(dvc.api.read("dvc.lock", rev=revision))
    except (DvcException, FileNotFoundError):
        lock = ""
    if f"path: {PREPARED.as_posix()}\n" not in lock:
        return f"{revision} has no dataset: no dvc.lock with {PREPARED} was committed there"
    return (
        f"the dataset of {revision} is neither in DVC's cache nor on a remote: fetch it where it is with "
        f"`dvc fetch --all-commits`, or make it anew with `git checkout {revision}` and `dvc repro prepare`"
    )
