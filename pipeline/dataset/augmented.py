"""Write and read the augmented dataset on disk; reading checks every file against its record."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from pathlib import Path

from pipeline.core.errors import DamagedFileError, UserError
from pipeline.dataset.augmentation_records import (
    AugmentationRecords,
    AugmentedImage,
    parse_augmentation_records,
    serialize_augmentation_records,
)
from pipeline.runtime.thread_pool import read_in_threads
from pipeline.storage.files import hash_file, write_file
from pipeline.storage.fingerprint import IGNORED_SUFFIXES

RECORDS_FILE = "records.json"


def create_augmented_folders(folder: Path) -> None:
    """Create the folders of an augmented dataset, which exist even without copies."""
    for name in ("images/train", "labels/train", "samples"):
        (folder / name).mkdir(parents=True, exist_ok=True)


def write_augmentation_records(
    folder: Path, prepared: str, copies: Iterable[AugmentedImage]
) -> AugmentationRecords:
    """Write records.json, copies sorted by file.

    Args:
        folder: The augmented dataset.
        prepared: Digest of the prepared dataset.
        copies: The augmented images.
    """
    written = AugmentationRecords(prepared, tuple(sorted(copies, key=lambda copy: copy.file)))
    write_file(folder / RECORDS_FILE, serialize_augmentation_records(written))
    return written


def read_augmentation_records(folder: Path, *, prepared: str | None = None) -> AugmentationRecords:
    """Read the records of an augmented dataset and check every file that they name.

    Args:
        folder: The augmented dataset, such as data/augmented.
        prepared: Digest of the prepared dataset that it must be made from; copies of an earlier one may show
            images that are in the test split now.

    Raises:
        UserError: The records are missing, changed, or made from another prepared dataset; or a file is
            missing, changed, or not in the records.
    """
    found = _load_records(folder / RECORDS_FILE)
    if prepared not in {None, found.prepared}:
        raise UserError(f"{folder} was drawn from an earlier state of the prepared images: run augment again")
    read_in_threads(partial(_verify_copy, folder), found.copies)
    known = {copy.file for copy in found.copies}
    for path in (folder / "images" / "train").glob("*"):
        is_copy = not path.name.startswith(".") and not path.name.endswith(IGNORED_SUFFIXES)
        if is_copy and f"train/{path.name}" not in known:
            raise UserError(f"{path} is not in {RECORDS_FILE}: remove it, or run augment again")
    return found


def _load_records(path: Path) -> AugmentationRecords:
    try:
        return parse_augmentation_records(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path} is absent: run `dvc repro augment`, or `dvc pull` to fetch it") from None
    except (ValueError, OSError) as error:
        raise UserError(f"{path} cannot be used ({error}): run augment again") from None


def _verify_copy(folder: Path, copy: AugmentedImage) -> None:
    _verify_file(folder / "images" / copy.file, copy.sha256)
    _verify_file(folder / "labels" / copy.label_file, copy.labels_sha256)


def _verify_file(path: Path, sha256: str) -> None:
    try:
        found = hash_file(path)
    except OSError:
        raise UserError(f"{path} is in {RECORDS_FILE} but cannot be read: run augment again") from None
    if found != sha256:
        raise DamagedFileError(
            f"{path} is not as augment wrote it: run augment again (dvc repro -f augment)", file=str(path)
        )
