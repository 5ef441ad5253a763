"""The prepared dataset on disk: the canonical YOLO layout, and its manifest, read back before use."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

from pipeline.core.errors import UserError
from pipeline.core.paths import SPLITS
from pipeline.core.tasks import Task
from pipeline.dataset import labels, link_cache, manifest
from pipeline.dataset.labels import ImageLabels
from pipeline.dataset.manifest import Manifest
from pipeline.storage import files

MANIFEST = "manifest.json"
_HANDS: Final = 8
"""Threads that hash files: some wait for the disk."""


def lay_out(folder: Path) -> None:
    """Create the folders of a prepared dataset."""
    for kind in ("images", "labels"):
        for split in SPLITS:
            (folder / kind / split).mkdir(parents=True, exist_ok=True)


def write_manifest(folder: Path, made: Manifest) -> Manifest:
    """Write manifest.json, images sorted by file."""
    written = replace(made, items=tuple(sorted(made.items, key=lambda item: item.file)))
    files.write(folder / MANIFEST, manifest.render(written))
    return written


def read_manifest(folder: Path, *, contents: bool = True) -> Manifest:
    """Read the manifest of a prepared dataset, and hold the files against it.

    Every image and label file must be there, with the contents that prepare wrote, and no other beside them.

    Args:
        folder: The prepared dataset.
        contents: Whether to look at the files; a preview need not wait for that.

    Raises:
        Refused: The dataset is absent, or was changed after prepare wrote it.
    """
    file = folder / MANIFEST
    if not file.is_file():
        raise UserError(f"{file} is absent: run prepare first (dvc repro)")
    try:
        found = manifest.parse(file.read_text(encoding="utf-8"))
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{file} cannot be used ({error}): run prepare again (dvc repro -f prepare)"
        ) from None
    if contents and (changed := _changed(folder, found)):
        link_cache.distrust()  # it may be linked there, and prepare would place it again
        raise UserError(
            f"{folder / changed} is not as prepare wrote it: run prepare again (dvc repro -f prepare)"
        )
    return found


def read_labels(file: Path, task: Task) -> ImageLabels:
    """Read a label file of a prepared or augmented dataset.

    Args:
        file: The label file.
        task: What the labels are for.
    """
    return labels.parse(file.read_text(encoding="utf-8"), task)


def _changed(folder: Path, expected: Manifest) -> str:
    """Name a file that is absent, surplus or of other contents; nothing where all is well."""
    wanted = {f"images/{item.file}": item.sha256 for item in expected.items}
    wanted |= {f"labels/{item.label}": item.labels_sha256 for item in expected.items}
    there = {name for kind in ("images", "labels") for name in _inside(folder, kind)}
    for name in sorted(wanted.keys() ^ there):
        return name
    names = list(wanted)
    with ThreadPoolExecutor(_HANDS) as pool:
        parts = (names[start::_HANDS] for start in range(_HANDS))
        return min(filter(None, pool.map(partial(_other, folder, wanted), parts)), default="")


def _inside(folder: Path, kind: str) -> Iterator[str]:
    """Yield what lies in the folders of images, or of labels."""
    for split in (folder / kind).glob("*"):
        if split.is_dir():
            yield from (f"{kind}/{split.name}/{name}" for name in os.listdir(split))  # noqa: PTH208 - names


def _other(folder: Path, wanted: Mapping[str, str], names: Sequence[str]) -> str:
    """Return the first of these files that has other contents than wanted; nothing where none has."""
    return next((name for name in names if files.sha256(folder / name) != wanted[name]), "")
