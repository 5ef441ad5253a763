"""The augmented dataset on disk: its records, read back and held against the files before use."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from pipeline.core.errors import UserError
from pipeline.dataset import augmentation_records
from pipeline.dataset.augmentation_records import AugmentationRecords, AugmentedImage
from pipeline.storage import files

RECORDS = "records.json"


def lay_out(folder: Path) -> None:
    """Create the folders of an augmented dataset: they exist even where there is no copy."""
    for name in ("images/train", "labels/train", "samples"):
        (folder / name).mkdir(parents=True, exist_ok=True)


def write_records(folder: Path, prepared: str, copies: Iterable[AugmentedImage]) -> AugmentationRecords:
    """Write records.json, copies sorted by file.

    Args:
        folder: The augmented dataset.
        prepared: Digest of the prepared dataset.
        copies: What was drawn.
    """
    written = AugmentationRecords(prepared, tuple(sorted(copies, key=lambda copy: copy.file)))
    files.write(folder / RECORDS, augmentation_records.render(written))
    return written


def read_records(folder: Path, *, prepared: str | None = None) -> AugmentationRecords:
    """Read the records of an augmented dataset and check every file that they name.

    Args:
        folder: The augmented dataset, such as data/augmented.
        prepared: Digest of the prepared dataset that it must have been drawn from: copies of an earlier one
            may show what is a test image now.

    Raises:
        Refused: The records are absent, changed or of another prepared dataset, or a file is absent, changed
            or not on record.
    """
    found = _records(folder / RECORDS)
    if prepared not in {None, found.prepared}:
        raise UserError(f"{folder} was drawn from an earlier state of the prepared images: run augment again")
    for copy in found.copies:
        _same(folder / "images" / copy.file, copy.sha256)
        _same(folder / "labels" / copy.label, copy.labels_sha256)
    known = {copy.file for copy in found.copies}
    present = (path for path in (folder / "images" / "train").glob("*") if not path.name.startswith("."))
    for path in present:
        if f"train/{path.name}" not in known:
            raise UserError(f"{path} is not in {RECORDS}: remove it, or run augment again")
    return found


def _records(path: Path) -> AugmentationRecords:
    try:
        return augmentation_records.parse(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(
            f"{path} is absent: run `dvc repro augment`, or `dvc pull` what a colleague made"
        ) from None
    except (ValueError, OSError) as error:
        raise UserError(f"{path} cannot be used ({error}): run augment again") from None


def _same(path: Path, sha256: str) -> None:
    try:
        found = files.sha256(path)
    except OSError:
        raise UserError(f"{path} is in {RECORDS} but cannot be read: run augment again") from None
    if found != sha256:
        raise UserError(
            f"{path} is not the file that augment wrote: run augment again, or `dvc checkout`"
        ) from None
