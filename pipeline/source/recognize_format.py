"""Recognize the annotation format of a source folder, and read the source."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from pipeline.core.annotation_formats import ANNOTATION_FORMATS
from pipeline.core.errors import UserError
from pipeline.source.formats.load_readers import load_formats
from pipeline.source.reading.diagnosis import explain_unknown_format
from pipeline.source.reading.file_tree import format_relative_path, list_folder_files, list_subfolders
from pipeline.source.reading.unicode_names import escape_source_text
from pipeline.source.types import Source

_MAX_NESTED_FOLDERS: Final = 5
_MAX_HINT_FOLDERS: Final = 20
_ARCHIVE_SUFFIXES: Final = (".zip", ".tar", ".tgz", ".gz", ".bz2", ".xz")
_FALLBACK: Final = "folders"
"""Class folders: many folders of other formats look like them, so they match only if no other format does."""


class RecognizedFormat(NamedTuple):
    """Which format a source has.

    Attributes:
        form: The format, as in data.format.
        folder: The folder that holds it: the source folder, or the only folder in it.
        remarks: Which other formats match too.
    """

    form: str
    folder: Path
    remarks: tuple[str, ...] = ()


def read_source(form: str, folder: Path, wanted: str = "auto") -> Source:
    """Read a source; nothing is written to it.

    Args:
        form: The format, as in data.format; auto recognizes it.
        folder: The source folder.
        wanted: The task, as in data.task: for segment and obb, outlines are read if the source has some.

    Raises:
        UserError: There is no such folder, or it cannot be read.
    """
    recognized = recognize_format(form, folder)
    source = escape_source_text(load_formats()[recognized.form].read_folder(recognized.folder))
    if len(set(source.names)) < len(source.names):
        twice = next(name for name, number in Counter(source.names).items() if number > 1)
        raise UserError(f"two classes of {folder} are called {twice!r}: give each class its own name")
    if wanted in {"segment", "obb"} - {source.task} and any(image.raw.outlines for image in source.images):
        source = source._replace(task="segment")
    inner = format_relative_path(recognized.folder, folder)
    source = source if inner == "." else _prefix_paths(source, inner)
    return source._replace(remarks=(*recognized.remarks, *source.remarks))


def recognize_format(form: str, folder: Path) -> RecognizedFormat:
    """Find the format of a source, in the folder itself or in the only folder in it.

    Args:
        form: The format, as in data.format; auto tries all.
        folder: The source folder.

    Raises:
        UserError: There is no such folder, or no format matches it.
    """
    if not folder.is_dir():
        raise UserError(f"data.source={folder} is not a folder: set it to the folder that holds the images")
    if form not in {"auto", *ANNOTATION_FORMATS}:
        raise UserError(f"unknown format {form}: use auto, or one of {', '.join(ANNOTATION_FORMATS)}")
    candidates = ANNOTATION_FORMATS if form == "auto" else (form,)
    for place in _iterate_nested(folder):
        if matching := _find_matching(place, candidates):
            return RecognizedFormat(matching[0], place, _describe_others(matching))
    if form != "auto":
        return RecognizedFormat(form, folder)  # its reader says what is missing
    descriptions = {name: reader.RECOGNIZED_BY for name, reader in load_formats().items()}
    raise UserError(
        f"no annotations recognized in {folder}{_build_hint(folder)}: "
        f"{explain_unknown_format(folder, descriptions)}"
    )


def _find_matching(folder: Path, candidates: tuple[str, ...]) -> list[str]:
    """Return the formats that match a folder, the fallback only if it is the only one."""
    matching = [name for name in candidates if load_formats()[name].matches_folder(folder)]
    return [name for name in matching if name != _FALLBACK] or matching


def _prefix_paths(source: Source, inner: str) -> Source:
    """Make the file names of an inner folder relative to the source folder."""
    images = tuple(image._replace(source=f"{inner}/{image.source}") for image in source.images)
    defects = tuple(defect._replace(file=f"{inner}/{defect.file}") for defect in source.defects)
    return source._replace(images=images, defects=defects)


def _iterate_nested(folder: Path) -> Iterator[Path]:
    """Yield the folder, then the only folder in it, and so on: archives often hold one outer folder."""
    for _ in range(_MAX_NESTED_FOLDERS):
        yield folder
        inner = list_subfolders(folder)
        if len(inner) != 1:
            return
        folder = inner[0]


def _describe_others(matching: list[str]) -> tuple[str, ...]:
    if len(matching) == 1:
        return ()
    others = " and ".join(matching[1:])
    return (f"read as {matching[0]}, though it looks like {others} too: data.format decides",)


def _build_hint(folder: Path) -> str:
    """Name the subfolders that hold a dataset, or an archive."""
    inner = [
        (path, _find_matching(path, ANNOTATION_FORMATS))
        for path in list_subfolders(folder)[:_MAX_HINT_FOLDERS]
    ]
    datasets = [f"{path.name}/ ({matching[0]})" for path, matching in inner if matching]
    if datasets:
        return f" itself, but in {', '.join(datasets)}, one of which data.source may be"
    packed = next(iter(list_folder_files(folder, *_ARCHIVE_SUFFIXES)), None)
    if packed is None:
        return ""
    return f" itself; {format_relative_path(packed, folder)} may be an archive of one: name it in data.source"
