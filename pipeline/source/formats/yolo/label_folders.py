"""Find the folder of label files for a folder of images, by content: by names that both have."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from difflib import SequenceMatcher
from itertools import islice
from pathlib import Path
from typing import Final
from urllib.parse import unquote

from pipeline.config.source_paths import IMAGE_SUFFIXES
from pipeline.core.errors import UserError
from pipeline.source.formats.yolo.label_lines import is_label_text
from pipeline.source.reading.file_tree import (
    get_file_size,
    is_file,
    iterate_files,
    list_folder_files,
    list_subfolders,
    read_head,
)
from pipeline.source.reading.image_index import normalize_name
from pipeline.source.types import find_split_in_name

MAX_CHECKED_IMAGES: Final = 50
_MAX_COMPARED_FOLDERS: Final = 4
_MAX_COMPARED_IMAGES: Final = 5
_MAX_SUBFOLDERS: Final = 30
_MAX_LEVELS: Final = 3
_MAX_TEXTS: Final = 5000
_MIN_LINE_BYTES: Final = len("0 0 0 1 1")
"""Bytes of the shortest line of a label file."""
_USUAL_NAME: Final = re.compile("label|annot|txt|gt|bbox|box")
_UPLOAD_PREFIX: Final = re.compile(r"[0-9a-f]{8}-(?=.)")
"""What Label Studio puts before the name of an uploaded file."""


def remove_upload_prefix(stem: str) -> str:
    """Return a file name without the prefix that Label Studio adds to uploaded files."""
    return _UPLOAD_PREFIX.sub("", stem, count=1) if _UPLOAD_PREFIX.match(stem) else stem


def find_subfolder(folder: Path, name: str) -> Path | None:
    """Find a subfolder by name, in upper or lower case."""
    exact = folder / name
    if exact.is_dir():
        return exact
    return next((path for path in list_subfolders(folder) if path.name.casefold() == name), None)


def find_image_folders(folder: Path) -> list[Path]:
    """Find the subfolders with images that have label files in another subfolder of the same folder."""
    inner = list_subfolders(folder)
    if len(inner) > _MAX_SUBFOLDERS:
        return []
    with_texts = [place for place in inner if next(iterate_files(place, ".txt"), None)]
    found = []
    for place in inner if with_texts else []:
        images = list(islice(iterate_files(place, *IMAGE_SUFFIXES), MAX_CHECKED_IMAGES))
        rest = [other for other in with_texts if other != place and not _have_other_splits(place, other)]
        if (
            images
            and not any(is_file(image.with_suffix(".txt")) for image in images)
            and any(is_file(other / _label_name(image, place)) for other in rest for image in images)
        ):
            found.append(place)
    return found


def _label_name(image: Path, folder: Path) -> Path:
    return image.relative_to(folder).with_suffix(".txt")


def find_label_folder(images: Sequence[Path], root: Path) -> Path | None:
    """Find the folder that holds the label files of the images of one folder.

    It is the one with most label files named like the images; of two, the one with the more usual name.

    Args:
        images: Images in one folder.
        root: The source folder: label folders are looked for inside it.

    Raises:
        UserError: Several folders fit equally well.
    """
    checked = images[:MAX_CHECKED_IMAGES]
    place = checked[0].parent
    counts = {
        folder: _count_matches(checked, folder) for folder in dict.fromkeys(_iterate_candidates(place, root))
    }
    most = max(counts.values(), default=0)
    best = [folder for folder, count in counts.items() if most and count == most]
    ranked = sorted(best, key=lambda folder: _rank_name(folder, place), reverse=True)
    if len(ranked) > 1 and _rank_name(ranked[0], place) == _rank_name(ranked[1], place):
        raise UserError(
            f"{ranked[0]} and {ranked[1]} both hold label files for the images in {place}: remove one "
            "of them from the source"
        )
    return next(iter(ranked), None)


def find_unread_folders(labels: Mapping[Path, Path], root: Path) -> list[Path]:
    """Find other folders with label files of images that have some: other versions, or the output of a model.

    Args:
        labels: The label file of some images of each folder.
        root: The source folder.
    """
    by_place: dict[Path, list[Path]] = defaultdict(list)
    for image in labels:
        by_place[image.parent].append(image)
    used = {label.parent for label in labels.values()}
    found: dict[Path, None] = {}
    for place, images in islice(by_place.items(), _MAX_COMPARED_FOLDERS):
        few = images[:_MAX_COMPARED_IMAGES]
        others = dict.fromkeys(
            other for other in (place, *_iterate_candidates(place, root)) if other not in used
        )
        found |= {other: None for other in others if _holds_labels(few, other)}
    return list(found)


def _holds_labels(images: Sequence[Path], folder: Path) -> bool:
    texts = (folder / f"{image.stem}.txt" for image in images)
    first = next(filter(holds_lines, texts), None)
    return first is not None and is_label_text(read_head(first))


def _iterate_candidates(place: Path, root: Path) -> Iterator[Path]:
    """Yield folders beside the image folder or one above it, with and without the path below that one."""
    yield from list_subfolders(place)[:_MAX_SUBFOLDERS]
    current = place
    for _ in range(_MAX_LEVELS):
        if current == root or root not in current.parents:
            return
        for sibling in list_subfolders(current.parent)[:_MAX_SUBFOLDERS]:
            if sibling != current and not _have_other_splits(current, sibling):
                yield sibling / place.relative_to(current)
                yield sibling
        current = current.parent


def _have_other_splits(one: Path, other: Path) -> bool:
    splits = find_split_in_name(one.name), find_split_in_name(other.name)
    return None not in splits and splits[0] != splits[1]


def _count_matches(images: Sequence[Path], folder: Path) -> int:
    """Count the images with a label file in a folder; an upload prefix or another case does not matter."""
    if not folder.is_dir():
        return 0
    exact = sum(is_file(folder / f"{image.stem}.txt") for image in images)
    if exact:
        return exact
    texts = islice(iterate_files(folder, ".txt", deep=False), _MAX_TEXTS)
    stems = {simplify_stem(path.stem) for path in texts}
    return sum(simplify_stem(image.stem) in stems for image in images)


def simplify_stem(stem: str) -> str:
    """Return a file name for comparison: in lower case, without an upload prefix and percent-encoding.

    Label Studio writes the labels of `caf\u00e9 1.jpg` as `caf%C3%A9%201.txt`.
    """
    return normalize_name(remove_upload_prefix(unquote(stem)))


def _rank_name(folder: Path, place: Path) -> tuple[bool, bool, float]:
    """Rank a folder by its name: `labels`, other usual names, then the one most like the image folder's."""
    names = [part.casefold() for part in folder.parts]
    usual = any(_USUAL_NAME.search(name) for name in names[-_MAX_LEVELS:])
    alike = SequenceMatcher(None, str(folder), str(place)).ratio()
    return "labels" in names[-_MAX_LEVELS:], usual, alike


def list_label_folders(folder: Path) -> list[Path]:
    """List the folders called labels where a YOLO dataset has them: labels, labels/train, train/labels."""
    usual = {"labels", "label"}
    first = list_subfolders(folder)[:_MAX_SUBFOLDERS]
    direct = [path for path in first if path.name.casefold() in usual]
    second = [inner for path in first for inner in list_subfolders(path)[:_MAX_SUBFOLDERS]]
    inner = [
        path
        for path in second
        if path.parent.name.casefold() in usual
        or (path.name.casefold() in usual and find_split_in_name(path.parent.name))
    ]
    return direct + inner


def list_first_labels(folder: Path, number: int) -> list[Path]:
    """List the first text files in the label folders of a dataset that hold lines."""
    texts = (text for place in list_label_folders(folder) for text in list_folder_files(place, ".txt"))
    return list(islice(filter(holds_lines, islice(texts, _MAX_TEXTS)), number))


def holds_lines(label: Path) -> bool:
    """Check that a label file is as long as a line: that of an image without objects is empty."""
    return (get_file_size(label) or 0) >= _MIN_LINE_BYTES
