"""Write and read the prepared dataset on disk, in YOLO layout; reading checks files against the manifest."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

from pipeline.core.errors import DamagedFileError, UserError
from pipeline.core.paths import PREPARED_FOLDER, SPLITS
from pipeline.core.tasks import Task
from pipeline.dataset.labels import ImageLabels, parse_labels
from pipeline.dataset.link_cache import clear_link_cache
from pipeline.dataset.manifest import Manifest, parse_manifest, serialize_manifest
from pipeline.storage.files import hash_file, write_file
from pipeline.storage.fingerprint import IGNORED_SUFFIXES

MANIFEST_FILE = "manifest.json"
_HASH_THREADS: Final = 8
"""Threads that hash files; more than there are cores, since some wait for the disk."""


def create_prepared_folders(folder: Path) -> None:
    """Create the folders of a prepared dataset."""
    for kind in ("images", "labels"):
        for split in SPLITS:
            (folder / kind / split).mkdir(parents=True, exist_ok=True)


def write_manifest(folder: Path, made: Manifest) -> Manifest:
    """Write manifest.json, images sorted by file."""
    written = replace(made, items=tuple(sorted(made.items, key=lambda item: item.file)))
    write_file(folder / MANIFEST_FILE, serialize_manifest(written))
    return written


def read_manifest(folder: Path, *, verify_files: bool = True) -> Manifest:
    """Read the manifest of a prepared dataset and check the files against it.

    Every image and label file must exist with the contents that prepare wrote, and there must be no others.

    Args:
        folder: The prepared dataset.
        verify_files: Whether to check the files; a preview skips it to save time.

    Raises:
        UserError: The dataset is missing, or was changed after prepare wrote it.
    """
    file = folder / MANIFEST_FILE
    if not file.is_file():
        raise UserError(f"{file} is absent: run prepare first (dvc repro)")
    try:
        found = parse_manifest(file.read_text(encoding="utf-8"))
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{file} cannot be used ({error}): run prepare again (dvc repro -f prepare)"
        ) from None
    if verify_files and (changed := _find_changed_file(folder, found)):
        clear_link_cache()  # it may hold a link to the changed file, which prepare would use again
        raise DamagedFileError(
            f"{folder / changed} is not as prepare wrote it: run prepare again (dvc repro -f prepare)",
            file=str(folder / changed),
        )
    return found


def require_labeled_objects(manifest: Manifest, splits: Sequence[str] = SPLITS) -> None:
    """Require an object in each of these splits. All of them before a long stage: evaluate needs test, too.

    Raises:
        UserError: A split has none.
    """
    for split in splits:
        if not any(image.classes for image in manifest.in_split(split)):
            raise UserError(
                f"the {split} split of {PREPARED_FOLDER} has no labelled object: "
                f"add labelled images, or give the {split} split a share in data.split"
            )


def read_labels(file: Path, task: Task) -> ImageLabels:
    """Read a label file of a prepared or augmented dataset.

    Args:
        file: The label file.
        task: The task of the labels.
    """
    return parse_labels(file.read_text(encoding="utf-8"), task)


def _find_changed_file(folder: Path, expected: Manifest) -> str:
    """Return a file that is missing, unexpected or changed; empty if there is none."""
    wanted = {f"images/{item.file}": item.sha256 for item in expected.items}
    wanted |= {f"labels/{item.label_file}": item.labels_sha256 for item in expected.items}
    present = {name for kind in ("images", "labels") for name in _iterate_files(folder, kind)}
    for name in sorted(wanted.keys() ^ present):
        return name
    names = list(wanted)
    with ThreadPoolExecutor(_HASH_THREADS) as pool:
        parts = (names[start::_HASH_THREADS] for start in range(_HASH_THREADS))
        return min(filter(None, pool.map(partial(_find_other_contents, folder, wanted), parts)), default="")


def _iterate_files(folder: Path, kind: str) -> Iterator[str]:
    """Yield the files of all splits, below images/ or labels/, without those of file managers."""
    for split in (folder / kind).glob("*"):
        if split.is_dir():
            names = (name for name in os.listdir(split) if not name.endswith(IGNORED_SUFFIXES))  # noqa: PTH208
            yield from (f"{kind}/{split.name}/{name}" for name in names)


def _find_other_contents(folder: Path, wanted: Mapping[str, str], names: Sequence[str]) -> str:
    """Return the first of these files whose hash is not the wanted one; empty if there is none."""
    return next((name for name in names if hash_file(folder / name) != wanted[name]), "")
