"""Look for evidence that folders are no classes: they belong to another format, or lie one level deeper."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from itertools import combinations, islice
from pathlib import Path
from typing import Final

from pipeline.config.source_paths import IMAGE_SUFFIXES
from pipeline.source.formats.folders.class_folders import ClassFolder
from pipeline.source.reading.file_tree import iterate_files, list_subfolders
from pipeline.source.types import find_split_in_name

_NON_CLASS_NAMES: Final = frozenset(
    {"images", "image", "imgs", "img", "labels", "label", "labeltxt", "annotations", "annotation", "masks"}
    | {"jpegimages", "imagesets", "segmentationclass", "segmentationobject", "data", "samples"}
    | {"thumbnails", "thumbnail", "thumbs", "thumb", "previews"}
    | {"unlabeled", "unlabelled", "unannotated", "unsorted", "todo", "to_do", "to-do", "to_label"}
)
"""Folder names of other formats."""
_ANNOTATION_NAME: Final = re.compile(r"(annots?|annotations?|ground[_ -]?truths?|[_-](gt|masks|labels))$")
_ANNOTATION_SUFFIXES: Final = frozenset({".json", ".xml", ".txt", ".csv", ".yaml", ".yml"})
_MAX_CHECKED_FILES: Final = 200
_MIN_FOLDERS: Final = 5
"""With fewer folders, one image in each may be a class."""
_NEARLY_ALL: Final = 0.8
_MAX_PER_IMAGE: Final = 4
"""Most files of a folder per image: the image, its mask and pictures of it."""
_MAX_COMPARED: Final = 10
"""Folders whose file names are compared."""
_MIN_PAIRED: Final = 5

SampleByFolder = Mapping[ClassFolder, Sequence[Path]]


def find_doubt(parts: Sequence[ClassFolder]) -> str:
    """Explain why folders are no classes; empty if nothing speaks against it."""
    samples = {
        part: list(islice(iterate_files(part.folder), _MAX_CHECKED_FILES))
        for part in parts
        if not part.is_unlabelled
    }
    images = {
        part: found
        for part, files in samples.items()
        if (found := [path for path in files if _is_image(path)])
    }
    names = {part.name for part in images}
    if len(names) < 2:
        return "fewer than two folders hold images"
    return (
        _doubt_names(names)
        or _doubt_suffixes(samples)
        or _doubt_depth(images)
        or _doubt_counts(images)
        or _doubt_equal_names(images)
    )


def _doubt_names(names: set[str]) -> str:
    """Look for names of splits and of other formats."""
    splits = sorted(name for name in names if name.isalpha() and find_split_in_name(name))
    if len(splits) > 1 or all(map(find_split_in_name, names)):
        first = " and ".join((splits or sorted(names))[:2])
        return f"{first} are parts of a dataset, and hold no class folders"
    lower = {name.lower() for name in names}
    other = next((name for name in sorted(lower) if name in _NON_CLASS_NAMES), "")
    if not other and not any(name != "mask" and "mask" in name for name in lower) and "mask" in lower:
        other = "mask"
    other = other or next((name for name in sorted(names) if _ANNOTATION_NAME.search(name.lower())), "")
    return f"a folder is called {other}, which is no class" if other else ""


def _doubt_suffixes(samples: SampleByFolder) -> str:
    suffixes = Counter(path.suffix.lower() for files in samples.values() for path in files)
    annotations = sum(suffixes[suffix] for suffix in _ANNOTATION_SUFFIXES)
    images = sum(suffixes[suffix] for suffix in IMAGE_SUFFIXES)
    return "" if images > 2 * annotations else "many of their files are annotations"


def _doubt_depth(images: SampleByFolder) -> str:
    """Look for folders in the folders: classes one level deeper, or the same ones in each."""
    inner = {part: _list_inner_names(part.folder) for part in images}
    deep = [
        part
        for part, names in inner.items()
        if len(names) > 1 and not any(path.parent == part.folder for path in images[part])
    ]
    if deep and len(deep) < len(images):
        direct = next(part for part in images if part not in deep)
        return f"the images of {deep[0].name} lie in folders of their own, those of {direct.name} do not"
    counts = Counter(name for part in deep for name in inner[part])
    shared = sorted(name for name, number in counts.items() if number > 1)
    if len({part.name for part in deep}) > 1 and len(shared) > 1:
        return f"several hold folders of the same names ({', '.join(shared[:3])}), which may be the classes"
    return ""


def _doubt_counts(images: SampleByFolder) -> str:
    """Look for a folder per image: with one image in each, or with files of the same names in each."""
    files: dict[str, list[Path]] = defaultdict(list)
    for part, found in images.items():
        files[part.name] += found
    if len(files) < _MIN_FOLDERS:
        return ""
    if sum(len(found) == 1 for found in files.values()) >= _NEARLY_ALL * len(files):
        return f"nearly all of the {len(files)} folders hold one image"
    kinds = Counter(
        frozenset(path.name for path in found) for found in files.values() if len(found) <= _MAX_PER_IMAGE
    )
    common, number = kinds.most_common(1)[0] if kinds else (frozenset[str](), 0)
    if number >= _NEARLY_ALL * len(files) and not any(Path(name).stem.isdecimal() for name in common):
        return f"nearly all of the {len(files)} folders hold {', '.join(sorted(common))}: a folder per image"
    return ""


def _doubt_equal_names(images: SampleByFolder) -> str:
    """Look for two folders of the same file names that are not just counted: they are pairs, not classes."""
    if len(images) > _MAX_COMPARED:
        return ""
    stems = {part: {path.stem for path in iterate_files(part.folder) if _is_image(path)} for part in images}
    for (one, first), (other, second) in combinations(stems.items(), 2):
        same = first & second
        if (
            one.name != other.name
            and len(same) >= max(_MIN_PAIRED, 0.9 * max(len(first), len(second)))
            and not _are_counted(same)
        ):
            return f"{one.name} and {other.name} hold images of the same names, as pairs do"
    return ""


def _are_counted(stems: set[str]) -> bool:
    """Check for names that are only numbered, from 0 or 1, as in many sets of class folders."""
    numbers = [int(found[0]) for stem in stems if (found := re.search(r"\d{1,9}$", stem.rstrip(" )")))]
    return len(numbers) == len(stems) and min(numbers) <= 1 and max(numbers) <= 2 * len(numbers)


def _list_inner_names(folder: Path) -> list[str]:
    """List the folders in a folder that hold images and are no splits."""
    return [
        path.name
        for path in list_subfolders(folder)
        if not (path.name.isalpha() and find_split_in_name(path.name))
        and any(map(_is_image, islice(iterate_files(path), _MAX_CHECKED_FILES)))
    ]


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in IMAGE_SUFFIXES
