"""The prepared dataset on disk: the canonical YOLO layout, and its manifest, read back before use."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from pipeline.core import labels, layout, manifest
from pipeline.core.labels import Labels
from pipeline.core.manifest import Manifest
from pipeline.core.refusal import Refused
from pipeline.core.tasks import Task
from pipeline.edges import files, keeping

MANIFEST = "manifest.json"


def lay_out(folder: Path) -> None:
    """Create the folders of a prepared dataset."""
    for kind in ("images", "labels"):
        for split in layout.SPLITS:
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
        raise Refused(f"{file} is absent: run prepare first (dvc repro)")
    try:
        found = manifest.parse(file.read_text(encoding="utf-8"))
    except (ValueError, KeyError, TypeError) as error:
        raise Refused(f"{file} cannot be used ({error}): run prepare again (dvc repro -f prepare)") from None
    if contents and (changed := _changed(folder, found)):
        keeping.distrust()  # it may be linked there, and prepare would place it again
        raise Refused(
            f"{folder / changed} is not as prepare wrote it: run prepare again (dvc repro -f prepare)"
        )
    return found


def read_labels(file: Path, task: Task) -> Labels:
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
    there = {
        path.relative_to(folder).as_posix()
        for kind in ("images", "labels")
        for path in (folder / kind).glob("*/*")
    }
    for name in sorted(wanted.keys() ^ there):
        return name
    with ThreadPoolExecutor(8) as pool:
        hashes = pool.map(lambda name: files.sha256(folder / name), wanted)
        return next((name for name, found in zip(wanted, hashes, strict=True) if found != wanted[name]), "")
