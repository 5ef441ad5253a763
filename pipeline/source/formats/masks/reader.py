"""Mask images: each pixel holds its class, as a number, a colour of a palette, or black and white.

The mask of images/NAME.jpg is masks/NAME.png, or NAME_mask.png beside it. Each connected region is an object.
"""

from __future__ import annotations

import os
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
from pipeline.source.formats.masks import class_names
from pipeline.source.formats.masks import values as masks_values
from pipeline.source.formats.masks.class_names import MaskClassNames, told
from pipeline.source.formats.masks.values import SPECK, MaskContent
from pipeline.source.reading.assemble import gather
from pipeline.source.reading.entries import ImageAnnotations, collect
from pipeline.source.reading.file_tree import SUFFIXES, files_in, images_in
from pipeline.source.reading.image_index import ImageIndex
from pipeline.source.reading.match_images import MatchingOptions
from pipeline.source.types import Source, split_of

LOOKED_FOR: Final = "images/ and masks/ of the same names"

_FOLDERS: Final = {
    "masks",
    "mask",
    "segmentationclass",
    "segmentationmasks",
    "segmentation",
    "segmentations",
    "groundtruth",
    "gt",
}
_ASIDE: Final = {"segmentationobject"}
"""Folders of images that are neither: numbers of objects."""
_ENDINGS: Final = ("_mask", "_masks", "_seg", "_segmentation", "_gt", "-mask")
_MOST_FILES: Final = 20_000
"""Images that are looked at to recognise the format."""


def recognises(folder: Path) -> bool:
    """Look for a mask of the name of an image among the first files."""
    found = list(islice(files_in(folder, *SUFFIXES), _MOST_FILES))
    masks = _masks(found, folder)
    stems = {path.stem for path in found if path not in masks} if masks else set()
    return any(_plain(path) in stems for path in masks)


def read(folder: Path) -> Source:
    """Read a dataset of mask images.

    Raises:
        Refused: There are no masks, or none has an image.
    """
    images = _outside(_ASIDE, images_in(folder), folder)
    masks = _masks(images, folder)
    if not masks:
        raise UserError(
            f"no mask images in {folder}: expected {LOOKED_FOR}, or NAME_mask.png beside NAME.jpg"
        )
    pictures = ImageIndex([path for path in images if path not in masks])
    paths = sorted(masks)
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # decoding and OpenCV release the interpreter's lock
        read_masks = list(pool.map(masks_values.read, paths))
    values = {
        value for masked in read_masks for value in (*masked.specks, *(value for value, _ in masked.regions))
    }
    palette = {number: colour for masked in reversed(read_masks) for number, colour in masked.colours.items()}
    names = class_names.choose(folder, values, palette)
    entries = [_entry(path, masked, names, folder) for path, masked in zip(paths, read_masks, strict=True)]
    order = tuple(dict.fromkeys(name for name in names.of.values() if name))
    return gather(folder, entries, MatchingOptions(pictures, each=True, order=order), names.remarks)


def _entry(path: Path, masked: MaskContent, names: MaskClassNames, folder: Path) -> ImageAnnotations:
    """Turn the regions of one mask into objects; those of no class are left aside."""
    kept = [(label, shape, value) for value, shape in masked.regions if (label := names.of[value])]
    numbers = Counter[str]()
    rows = []
    for label, shape, _ in kept:
        numbers[label] += 1
        rows.append((f"{label}, region {numbers[label]}", (label, shape)))
    found, notes = collect(rows, lambda row: row)
    small = [
        AnnotationNote(True, f"{format_count(count, 'speck')} of {told(value)}, each of under {SPECK} pixels")
        for value, count in masked.specks.items()
        if names.of[value]
    ]
    asked = (str(path.relative_to(folder).with_name(_plain(path))), _plain(path))
    return ImageAnnotations(
        path, asked, found, (*masked.notes, *notes, *small), size=masked.size, fault=masked.fault
    )


def _masks(images: Sequence[Path], folder: Path) -> set[Path]:
    """Tell masks by their folder; where there is none, by the end of their name beside that of an image."""
    found = set(images) - set(_outside(_FOLDERS, images, folder))
    ended = [path for path in images if path.stem.lower().endswith(_ENDINGS)]
    if found or not ended:
        return found
    stems = {path.with_suffix("") for path in images}
    return {path for path in ended if _plain(path) != path.stem and path.with_name(_plain(path)) in stems}


def _outside(names: set[str], images: Sequence[Path], folder: Path) -> list[Path]:
    """Leave out the images below a folder of such a name; there are few folders, and many images."""
    inside = {
        place: names & set(map(_kind, place.relative_to(folder).parts))
        for place in {path.parent for path in images}
    }
    return [path for path in images if not inside[path.parent]] if any(inside.values()) else list(images)


def _kind(name: str) -> str:
    """Return what a folder holds by its name: masks in train_masks/ too."""
    return "".join(word for word in re.split(r"[^a-z]+", name.lower()) if not split_of(word))


def _plain(path: Path) -> str:
    """Return the name of a mask's image; a name that is nothing but an ending is one of its own."""
    ending = next((ending for ending in _ENDINGS if path.stem.lower().endswith(ending)), "")
    return path.stem[: len(path.stem) - len(ending)] or path.stem
