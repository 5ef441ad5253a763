"""Explain why a YOLO dataset has no images or no labels: what was looked for, and what is there instead."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Final

from pipeline.config.source_paths import IMAGE_SUFFIXES
from pipeline.core.text import format_count
from pipeline.source.archives.extract import find_unpacked_folder
from pipeline.source.formats.yolo.image_paths import SplitPath
from pipeline.source.formats.yolo.label_folders import holds_lines
from pipeline.source.formats.yolo.label_lines import is_label_text
from pipeline.source.reading.file_tree import (
    format_relative_path,
    iterate_files,
    list_folder_files,
    list_subfolders,
    path_exists,
    read_head,
)
from pipeline.source.reading.image_index import count_common_parts
from pipeline.source.types import find_split_in_name

NON_LABEL_FILES: Final = frozenset({"classes.txt", "obj.names", "names.txt"}) | {
    f"{name}.txt"
    for name in (
        *("train", "val", "test", "valid", "trainval", "readme", "requirements", "license"),
        *("predefined_classes", "class_names", "_classes", "_annotations"),
    )
}
"""Names of text files beside labels, in lower case."""
_MAX_DEPTH: Final = 4
_MAX_FOLDERS: Final = 500
_MAX_SHOWN: Final = 300
"""Characters of a path in a message."""
_MAX_LABELS: Final = 100_000
_MAX_OPENED: Final = 20


def explain_missing_images(folder: Path, missing: Sequence[SplitPath], file: Path | None) -> str:
    """Say that there are no images: which paths were looked for, and which ones exist."""
    labels = list_label_files(folder)
    if labels and not _has_images(folder):
        return (
            f"labels without images: {format_count(len(labels), 'label file')} in {folder}, such as "
            f"{format_relative_path(labels[0], folder)}, but no images{_describe_paths(missing, file)}: "
            "put the images beside the labels, in a folder called images"
        )
    if not missing or not file:
        return f"no images in {folder}: expected a data.yaml that names them, or images/ and labels/"
    there = _describe_alternative(missing[0], folder, file)
    return f"no images in {folder}{_describe_paths(missing, file)}{there}"


def explain_missing_labels(folder: Path, images: Sequence[Path], expected: Path) -> str:
    """Say that no image has a label file: which one was looked for, and which ones exist."""
    labels = list_label_files(folder)
    if not any(map(path_exists, images)):
        stated = f"the list of images names {images[0].name}, for example, which is not there"
        if labels:
            return (
                f"labels without images: {format_count(len(labels), 'label file')} in {folder}, such as "
                f"{format_relative_path(labels[0], folder)}, but no images ({stated}): put them there"
            )
        return f"no images in {folder}: {stated}"
    found = ""
    if labels:
        found = (
            f"; {format_count(len(labels), 'label file')} such as {format_relative_path(labels[0], folder)} "
            "belong to none of the images"
        )
    where = format_relative_path(expected, folder)
    return f"no label files for the images in {folder}: expected {where}{found}"


def list_label_files(folder: Path) -> list[Path]:
    """List the text files of a folder that hold labels; only the first ones with lines are opened."""
    texts = islice(iterate_files(folder, ".txt"), _MAX_LABELS)
    found = sorted(path for path in texts if path.name.lower() not in NON_LABEL_FILES)
    filled = islice(filter(holds_lines, found), _MAX_OPENED)
    return found if any(is_label_text(read_head(path)) for path in filled) else []


def _has_images(folder: Path) -> bool:
    return next(iter(iterate_files(folder, *IMAGE_SUFFIXES)), None) is not None


def _describe_paths(missing: Sequence[SplitPath], file: Path | None) -> str:
    if not missing or not file:
        return ""
    first = missing[0]
    if first.prefix and not path_exists(first.place):  # resolve_root falls back to the folder of the file
        first = first._replace(place=Path(os.path.normpath(file.parent / first.prefix / first.stated)))
    state = "holds no images" if path_exists(first.place) else "does not exist"
    stated, place = first.stated[:_MAX_SHOWN], str(first.place)[:_MAX_SHOWN]
    return f": {file.name} names {first.split}: {stated}, and {place} {state}"


def _describe_alternative(path: SplitPath, folder: Path, file: Path) -> str:
    """Name the folder of images that was probably meant; of several, the one whose path ends most alike."""
    wanted = [_simplify(part) for part in Path(path.stated.replace("\\", "/")).parts]
    found = list(_iterate_alternatives(path, folder, file))
    if not found:
        return ": correct the path, or put the images there"

    def count_equal_parts(place: Path) -> int:
        return count_common_parts(reversed([_simplify(part) for part in place.parts]), reversed(wanted))

    best = max(found, key=count_equal_parts)
    shown = format_relative_path(best, folder) if best.is_relative_to(folder) else str(best)
    return f"; {shown} exists and holds images: correct the path, or set data.source to the folder above it"


def _iterate_alternatives(path: SplitPath, folder: Path, file: Path) -> Iterator[Path]:
    """Yield folders of images: those below the source, and the stated path relative to folders above it."""
    yield from _iterate_image_folders([folder])
    if find_unpacked_folder(file):
        return
    depth = len(file.parents)
    for above in file.resolve().parents[1 : min(4, depth)]:
        stated = above / path.prefix / path.stated
        if path_exists(stated) and _has_images(stated):
            yield stated.resolve()


def _iterate_image_folders(level: list[Path]) -> Iterator[Path]:
    """Yield the folders, down to a few levels, that hold images directly."""
    for _ in range(_MAX_DEPTH):
        level = [inner for place in level for inner in list_subfolders(place)][:_MAX_FOLDERS]
        for place in level:
            if next(iter(iterate_files(place, *IMAGE_SUFFIXES, deep=False)), None) is not None:
                yield place


def _simplify(part: str) -> str:
    """Return a folder name without stray quotes and blanks, and with one word for each split."""
    name = part.strip(" '\"").casefold()
    return find_split_in_name(name) or name


def find_stray_labels(folder: Path, used: Iterable[Path], images: Iterable[Path]) -> list[Path]:
    """Find label files in folders called labels that belong to no image, not even to one that is not used."""
    known = {place.resolve() for place in {path.parent for path in used}}
    stems = {path.stem for path in images}
    places = [place for place in _iterate_label_folders(folder) if place.resolve() not in known]
    return [
        path
        for place in places
        for path in list_folder_files(place, ".txt")
        if path.stem not in stems and path.name.lower() not in NON_LABEL_FILES
    ]


def _iterate_label_folders(folder: Path) -> Iterator[Path]:
    """Yield the folders called labels and those inside them; only folders are listed, not their files."""
    level = [(folder, False)]
    for _ in range(_MAX_DEPTH):
        level = [
            (inner, inside or inner.name.casefold() in {"labels", "label"})
            for place, inside in level
            for inner in list_subfolders(place)
        ]
        yield from (place for place, inside in level if inside)
