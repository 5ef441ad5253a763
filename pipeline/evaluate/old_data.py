"""The images of evaluate.forget: those of the present test split, or of an old prepared dataset."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from pipeline.core.errors import UserError
from pipeline.core.paths import PREPARED_FOLDER, expand_home
from pipeline.dataset.image_columns import (
    COLUMNS_FILE,
    COLUMNS_FOLDER,
    find_columns_root,
    read_image_columns,
)
from pipeline.dataset.manifest import ImageRecord, Manifest, find_learnt_images
from pipeline.dataset.prepared import read_manifest
from pipeline.storage.files import hash_file
from pipeline.storage.scratch_folder import project_root

ON_TEST: Final = "base"
"""evaluate.forget=base: on the present test images."""


class OldData(NamedTuple):
    """The images that both models are measured on.

    Attributes:
        name: For people.
        folder: The prepared dataset.
        manifest: Its manifest.
        images: Those of its test split that the training has not seen.
        groups: The group of near copies of each image, by its file.
        known: How many test images it has seen, in train or val; they are left out, as their scores flatter.
    """

    name: str
    folder: Path
    manifest: Manifest
    images: tuple[ImageRecord, ...]
    groups: Mapping[str, str]
    known: int = 0


def open_old_data(wanted: str, trained: Mapping[str, Any]) -> OldData:
    """Open the images that both models are measured on.

    Args:
        wanted: evaluate.forget.
        trained: What finetune wrote about its weights: the task, and the images that it was trained on.

    Raises:
        UserError: The folder holds no prepared dataset of the task, or no test image with an object that the
            training has not seen; or its data/columns is damaged.
    """
    if wanted == ON_TEST:
        manifest = read_manifest(PREPARED_FOLDER)
        return _open_test_split("test", PREPARED_FOLDER, manifest)
    folder = _find_folder(wanted)
    if not (folder / "manifest.json").is_file():
        what = "is no prepared dataset (no manifest.json)" if folder.exists() else "does not exist"
        raise UserError(
            f"evaluate.forget={wanted} {what}: prepare the old images in a copy of the project (`finetrack "
            "use FOLDER`, `dvc repro prepare`) and give its data/prepared, or set `base` for the test images"
        )
    manifest = read_manifest(folder)
    if manifest.task != (task := trained["task"]):
        raise UserError(f"evaluate.forget={wanted} is for {manifest.task}, and the weights are for {task}")
    if not any(image.classes for image in manifest.in_split("test")):
        raise UserError(f"evaluate.forget={wanted} has no labelled object in its test split")
    return _leave_out_known_images(_open_test_split(wanted, folder, manifest), trained)


def _open_test_split(name: str, folder: Path, manifest: Manifest) -> OldData:
    root = find_columns_root(folder)
    columns = read_image_columns(manifest, root) if root else {}
    test = manifest.in_split("test")
    groups = {image.file: columns[image.file].group if columns else image.file for image in test}
    return OldData(name, folder, manifest, tuple(test), groups)


def _leave_out_known_images(data: OldData, trained: Mapping[str, Any]) -> OldData:
    """Leave out groups with an image that was trained on, as where old images are mixed in and split anew.

    The images of the training count, and those of train and val as they are now: they need not be the same.
    """
    present = read_manifest(PREPARED_FOLDER, verify_files=False)  # the stage has verified them
    seen = {image.sha256 for split in ("train", "val") for image in present.in_split(split)}
    seen |= {image.sha256 for image in find_learnt_images(trained, data.images) or ()}
    known = {data.groups[image.file] for image in data.images if image.sha256 in seen}
    kept = tuple(image for image in data.images if data.groups[image.file] not in known)
    if not any(image.classes for image in kept):
        raise UserError(
            f"evaluate.forget={data.name}: its test images with objects are all in train or val of "
            f"{PREPARED_FOLDER}: what was trained on is no measure; keep old test images out, or set "
            "evaluate.forget=null"
        )
    return data._replace(images=kept, known=len(data.images) - len(kept))


def find_old_data_digest(wanted: str | None) -> str | None:
    """Return a digest of the prepared dataset that evaluate.forget names, and its groups; None for none."""
    folder = None if wanted in {None, ON_TEST} else _find_folder(str(wanted))
    if folder is None or not (folder / "manifest.json").is_file():
        return None
    root, digest = find_columns_root(folder), read_manifest(folder).digest
    return f"{digest} {hash_file(root / COLUMNS_FOLDER / COLUMNS_FILE)}" if root else digest


def _find_folder(wanted: str) -> Path:
    return project_root() / expand_home(wanted)
