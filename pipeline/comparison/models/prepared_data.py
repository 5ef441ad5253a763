"""Open the prepared data that models are compared on: of the workspace, or of a revision."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from pipeline.core.errors import UserError
from pipeline.core.paths import PREPARED_FOLDER
from pipeline.dataset.history import WORKSPACE, read_manifest_at_revision
from pipeline.dataset.image_columns import COLUMNS_FILE, COLUMNS_FOLDER
from pipeline.dataset.manifest import Manifest
from pipeline.dataset.prepared import read_manifest, require_labeled_objects
from pipeline.iterations.predict_split import PreparedData
from pipeline.storage.dvc_repository import MissingContentsError, RevisionReadError, copy_path_at_revision
from pipeline.storage.files import hash_file

_SPLITS: Final = ("val", "test")


def open_prepared_data(revision: str, folder: Path) -> PreparedData:
    """Open the prepared data of a revision; only val and test of another one are fetched, and verified.

    Args:
        revision: A commit, branch, tag, or DVC experiment; or `workspace`.
        folder: An empty folder, which receives the data of a revision.

    Raises:
        UserError: The revision or its data cannot be had, or its test split has no object.
    """
    if revision == WORKSPACE:
        manifest = read_manifest(PREPARED_FOLDER)
        require_labeled_objects(manifest, ["test"])
        return PreparedData(manifest)
    manifest = read_manifest_at_revision(revision)
    require_labeled_objects(manifest, ["test"])
    data = PreparedData(manifest, folder, revision)
    for split in _SPLITS:
        if manifest.in_split(split):
            _fetch(revision, PREPARED_FOLDER / "images" / split, folder)
            _fetch(revision, PREPARED_FOLDER / "labels" / split, folder)
    _fetch(revision, COLUMNS_FOLDER / COLUMNS_FILE, folder, is_needed=False)
    _verify(data)
    return data


def _fetch(revision: str, path: Path, folder: Path, *, is_needed: bool = True) -> None:
    target = folder / path
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        copy_path_at_revision(path, revision, target)
    except MissingContentsError:
        if is_needed:
            raise UserError(
                f"{path} of {revision} is neither in DVC's cache nor on a remote: "
                "run `dvc fetch --all-commits` where it is"
            ) from None
    except RevisionReadError as error:
        raise UserError(f"{path} of {revision} cannot be read: {str(error).splitlines()[0]}") from None


def _verify(data: PreparedData) -> None:
    manifest: Manifest = data.manifest
    for item in (item for split in _SPLITS for item in manifest.in_split(split)):
        for kind, name, sha256 in (
            ("images", item.file, item.sha256),
            ("labels", item.label_file, item.labels_sha256),
        ):
            file = data.root / PREPARED_FOLDER / kind / name
            if not file.is_file() or hash_file(file) != sha256:
                raise UserError(
                    f"{PREPARED_FOLDER / kind / name} of {data.name} is missing or damaged in DVC's cache: "
                    "fetch it again from a remote (`dvc fetch --all-commits`)"
                )
