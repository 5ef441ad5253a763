"""Read mask images: each pixel holds its class as a number, as a color, or as white on black.

The mask of images/NAME.jpg is masks/NAME.png, or NAME_mask.png beside it. Each connected region is an object.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Final

from pipeline.core.errors import UserError
from pipeline.core.findings import AnnotationNote
from pipeline.core.text import format_count
from pipeline.runtime.worker_count import choose_worker_count
from pipeline.source.formats.masks.class_names import MaskClassNames, choose_class_names, format_mask_value
from pipeline.source.formats.masks.values import MIN_REGION_PIXELS, MaskContent, MaskValue, read_mask
from pipeline.source.reading.assemble import assemble_source
from pipeline.source.reading.entries import ImageAnnotations, collect_objects
from pipeline.source.reading.file_tree import IMAGE_SUFFIXES, iterate_files, list_images
from pipeline.source.reading.image_index import ImageIndex
from pipeline.source.reading.match_images import MatchingOptions
from pipeline.source.types import DEFAULT_OPTIONS, ReadOptions, Source, find_split_in_name

RECOGNIZED_BY: Final = "images/ and masks/ of the same names"

_MASK_FOLDERS: Final = {
    "masks",
    "mask",
    "segmentationclass",
    "segmentationmasks",
    "segmentation",
    "segmentations",
    "groundtruth",
    "gt",
}
_IGNORED_FOLDERS: Final = {"segmentationobject"}
"""Folders of images that are neither images nor class masks: they number the objects."""
_MASK_SUFFIXES: Final = ("_mask", "_masks", "_seg", "_segmentation", "_gt", "-mask")
_MAX_CHECKED_FILES: Final = 20_000
"""Images that are checked to recognize the format."""


def matches_folder(folder: Path) -> bool:
    """Look for a mask with the name of an image among the first files."""
    found = list(islice(iterate_files(folder, *IMAGE_SUFFIXES), _MAX_CHECKED_FILES))
    masks = _find_masks(found, folder)
    stems = {path.stem for path in found if path not in masks} if masks else set()
    return any(_image_stem(path) in stems for path in masks)


def read_folder(folder: Path, _options: ReadOptions = DEFAULT_OPTIONS) -> Source:
    """Read a dataset of mask images.

    Raises:
        UserError: There are no masks, or none has an image.
    """
    images = _exclude_folders(_IGNORED_FOLDERS, list_images(folder), folder)
    masks = _find_masks(images, folder)
    if not masks:
        raise UserError(
            f"no mask images in {folder}: expected {RECOGNIZED_BY}, or NAME_mask.png beside NAME.jpg"
        )
    image_index = ImageIndex([path for path in images if path not in masks])
    paths = sorted(masks)
    with ThreadPoolExecutor(choose_worker_count()) as pool:  # decoding and OpenCV release Python's lock
        contents = list(pool.map(read_mask, paths))
    values = {value for mask in contents for value in (*mask.specks, *(value for value, _ in mask.regions))}
    palette = {number: color for mask in reversed(contents) for number, color in mask.palette.items()}
    names = choose_class_names(folder, values, palette)
    annotations = [
        _build_annotations(path, mask, names, folder) for path, mask in zip(paths, contents, strict=True)
    ]
    order = tuple(dict.fromkeys(name for name in names.by_value.values() if name))
    options = MatchingOptions(image_index, one_file_per_image=True, class_order=order)
    return assemble_source(folder, annotations, options, names.remarks)


def _build_annotations(
    path: Path, mask: MaskContent, names: MaskClassNames, folder: Path
) -> ImageAnnotations:
    """Build an object from each region of one mask; values without a class are left out."""
    labeled = [(label, shape) for value, shape in mask.regions if (label := names.by_value[value])]
    numbers = Counter[str]()
    rows = []
    for label, shape in labeled:
        numbers[label] += 1
        rows.append((f"{label}, region {numbers[label]}", (label, shape)))
    objects, notes = collect_objects(rows, lambda row: row)
    speck_notes = [
        _note_specks(value, count) for value, count in mask.specks.items() if names.by_value[value]
    ]
    image_names = (str(path.relative_to(folder).with_name(_image_stem(path))), _image_stem(path))
    all_notes = (*mask.notes, *notes, *speck_notes)
    return ImageAnnotations(path, image_names, objects, all_notes, size=mask.size, fault=mask.fault)


def _note_specks(value: MaskValue, count: int) -> AnnotationNote:
    specks = f"{format_count(count, 'speck')} of {format_mask_value(value)}"
    return AnnotationNote(True, f"{specks}, each of under {MIN_REGION_PIXELS} pixels")


def _find_masks(images: Sequence[Path], folder: Path) -> set[Path]:
    """Find masks by their folder; if there is no mask folder, by a suffix to the name of another image."""
    in_mask_folders = set(images) - set(_exclude_folders(_MASK_FOLDERS, images, folder))
    with_suffix = [path for path in images if path.stem.lower().endswith(_MASK_SUFFIXES)]
    if in_mask_folders or not with_suffix:
        return in_mask_folders
    stems = {path.with_suffix("") for path in images}
    return {
        path
        for path in with_suffix
        if _image_stem(path) != path.stem and path.with_name(_image_stem(path)) in stems
    }


def _exclude_folders(names: set[str], images: Sequence[Path], folder: Path) -> list[Path]:
    """Exclude the images below folders of these kinds; each folder is checked once, for speed."""
    excluded = {
        parent: names & set(map(_folder_kind, parent.relative_to(folder).parts))
        for parent in {path.parent for path in images}
    }
    return [path for path in images if not excluded[path.parent]] if any(excluded.values()) else list(images)


def _folder_kind(name: str) -> str:
    """Return a folder name without split words, which says what the folder holds: masks for train_masks."""
    return "".join(word for word in re.split(r"[^a-z]+", name.lower()) if not find_split_in_name(word))


def _image_stem(path: Path) -> str:
    """Return the stem of the image of a mask; a stem that is only a suffix stays as it is."""
    suffix = next((suffix for suffix in _MASK_SUFFIXES if path.stem.lower().endswith(suffix)), "")
    return path.stem[: len(path.stem) - len(suffix)] or path.stem
