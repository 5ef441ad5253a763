"""Find the datasets in the subfolders of a source that is none itself, to name them in an error message."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Final, NamedTuple

from pipeline.config.override_text import quote_override_text
from pipeline.config.source_paths import IMAGE_SUFFIXES
from pipeline.core.annotation_formats import ANNOTATION_FORMATS
from pipeline.source.archives.extract import find_unpacked_folder
from pipeline.source.formats.folders.class_folders import explain_unlabelled_folders, iterate_class_folders
from pipeline.source.formats.folders.evidence import find_doubt
from pipeline.source.formats.load_readers import load_formats
from pipeline.source.reading.file_tree import (
    format_relative_path,
    iterate_files,
    list_folder_files,
    list_subfolders,
)

FALLBACK_FORMAT: Final = "folders"
"""Class folders: many folders of other formats look like them, so they match only if no other format does."""

_MAX_LEVELS: Final = 3
_MAX_CHECKED_FOLDERS: Final = 60
_MAX_LISTED_DATASETS: Final = 6
_SKIPPED_FOLDERS: Final = frozenset({"node_modules", "site-packages", "venv", "runs", "__pycache__"})
_ARCHIVE_SUFFIXES: Final = (".zip", ".tar", ".tgz", ".gz", ".bz2", ".xz")
_MIN_IMAGES: Final = 3
"""Images of a dataset in a class folder, at least."""


class NestedDataset(NamedTuple):
    """A folder below the source that holds a dataset, and its format."""

    folder: Path
    form: str


def find_matching_formats(folder: Path, candidates: Sequence[str] = ANNOTATION_FORMATS) -> list[str]:
    """Return the formats that match a folder; class folders only if no other does."""
    matching = [name for name in candidates if load_formats()[name].matches_folder(folder)]
    return [name for name in matching if name != FALLBACK_FORMAT] or matching


def find_nested_datasets(folder: Path) -> list[NestedDataset]:
    """Find datasets up to three levels down; folders in a dataset are not searched, nor more than 60."""
    found = []
    level = list_subfolders(folder)
    checked = 0
    for _ in range(_MAX_LEVELS):
        deeper: list[Path] = []
        for place in level[: _MAX_CHECKED_FOLDERS - checked]:
            checked += 1
            if place.name in _SKIPPED_FOLDERS:
                continue
            if forms := find_matching_formats(place):
                found.append(NestedDataset(place, forms[0]))
            else:
                deeper += list_subfolders(place)
        level = deeper
    return sorted(found)


def find_datasets_in_classes(folder: Path) -> list[NestedDataset]:
    """Find class folders that hold a dataset of another format: then they are no classes.

    Only folders that hold more than images are checked, for a folder of images is no dataset.
    """
    likely = [part.folder for part in iterate_class_folders(folder) if _may_hold_dataset(part.folder)]
    found = [
        NestedDataset(place, form)
        for place in likely[:_MAX_CHECKED_FOLDERS]
        for form in find_matching_formats(place)[:1]
    ]
    return [dataset for dataset in found if dataset.form != FALLBACK_FORMAT]


def describe_doubt(folder: Path) -> str:
    """Say which archive may hold a dataset, or why the folders are no classes; empty without either."""
    packed = next(iter(list_folder_files(folder, *_ARCHIVE_SUFFIXES)), None)
    if packed is not None:
        name = format_relative_path(packed, folder)
        return f" itself; {name} may be an archive of one: name it in data.source"
    parts = [part for part in iterate_class_folders(folder) if _holds_images(part.folder)]
    if len({part.name for part in parts if not part.is_unlabelled}) < 2:
        others = explain_unlabelled_folders(parts) if len({part.name for part in parts}) > 1 else ""
        return f" ({others})" if others else ""
    return f" ({find_doubt(parts)}; data.format=folders reads each folder as a class)"


def list_datasets(datasets: Sequence[NestedDataset], folder: Path) -> str:
    """List datasets below a folder with their formats."""
    listed = ", ".join(
        f"{format_relative_path(dataset.folder, folder)}/ ({dataset.form})"
        for dataset in datasets[:_MAX_LISTED_DATASETS]
    )
    more = f" and {len(datasets) - _MAX_LISTED_DATASETS} more" if len(datasets) > _MAX_LISTED_DATASETS else ""
    is_packed = find_unpacked_folder(datasets[0].folder)
    advice = ": unpack the archive, and set data.source to one" if is_packed else _advise_join(datasets)
    return f" itself, but in {listed}{more}, one of which data.source may be{advice}"


def _advise_join(datasets: Sequence[NestedDataset]) -> str:
    """Show how several datasets are read as one; empty if there is one, or too many to list."""
    if not 1 < len(datasets) <= _MAX_LISTED_DATASETS:
        return ""
    paths = ",".join(quote_override_text(str(dataset.folder)) for dataset in datasets)
    return f"; if they hold different images, {shlex.quote(f'data.source=[{paths}]')} reads them as one"


def _holds_images(folder: Path) -> bool:
    return next(iterate_files(folder, *IMAGE_SUFFIXES), None) is not None


def _may_hold_dataset(folder: Path) -> bool:
    """Check for more than images, and for more than two of these: a copy in a subfolder is no mask."""
    few = len(list(islice(iterate_files(folder, *IMAGE_SUFFIXES), _MIN_IMAGES))) < _MIN_IMAGES
    return not few and (
        bool(list_subfolders(folder))
        or any(path.suffix.lower() not in IMAGE_SUFFIXES for path in iterate_files(folder, deep=False))
    )
