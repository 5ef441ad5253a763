"""Read mask images: each pixel holds its class as a number, as a color, or as white on black.

The mask of images/NAME.jpg is masks/NAME.png, or NAME_mask.png beside it, or a similar pair of names. Each
connected region is an object.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from heapq import nsmallest
from itertools import islice
from pathlib import Path
from typing import Final, NamedTuple

from pipeline.config.source_paths import IMAGE_SUFFIXES
from pipeline.core.errors import UserError
from pipeline.core.text import format_count
from pipeline.runtime.worker_count import choose_worker_count
from pipeline.source.formats.masks.class_names import (
    ClassTable,
    check_object_numbers,
    check_white,
    choose_class_names,
    load_class_table,
)
from pipeline.source.formats.masks.folder_classes import find_folder_classes
from pipeline.source.formats.masks.gray_levels import choose_threshold
from pipeline.source.formats.masks.mask_annotations import NamedMask, build_annotations
from pipeline.source.formats.masks.mask_pairs import MaskLayout, find_mask_layout
from pipeline.source.formats.masks.mask_samples import find_background_doubt
from pipeline.source.formats.masks.mask_selection import KindChoice, choose_mask_kinds, describe_rivals
from pipeline.source.formats.masks.values import (
    MaskContent,
    MaskReading,
    MaskValue,
    read_mask,
)
from pipeline.source.reading.assemble import assemble_source
from pipeline.source.reading.file_tree import format_relative_path, iterate_files, list_images, sort_paths
from pipeline.source.reading.image_index import ImageIndex
from pipeline.source.reading.match_images import MatchingOptions
from pipeline.source.split_lists import SplitLists
from pipeline.source.types import DEFAULT_OPTIONS, ReadOptions, Source

RECOGNIZED_BY: Final = "images/ and masks/ of the same names"

_MAX_CHECKED_FILES: Final = 20_000
"""Images that are checked to recognize the format."""
_MAX_LISTED_FILES: Final = 200_000
"""Images among which these are chosen."""
_LISTED: Final = 5
_NEARLY_ALL: Final = 0.8
_MEASURED_MASKS: Final = 16
"""Masks that are measured before all are read; if all together say otherwise, they are read again."""


class _MaskPixels(NamedTuple):
    """The content of all masks of a source, and how it was read.

    Attributes:
        table: The class names of the source.
        masks: The content of each mask.
        threshold: The value above which gray is object; None if values are numbers.
    """

    table: ClassTable
    masks: Mapping[Path, MaskContent]
    threshold: int | None

    def list_values(self) -> set[MaskValue]:
        """Return all values but the background."""
        return {value for mask in self.masks.values() for value in mask.values}

    def list_colors(self) -> dict[int, int]:
        """Return the colors of the palettes by number."""
        return {number: color for mask in self.masks.values() for number, color in mask.palette.items()}


def matches_folder(folder: Path) -> bool:
    """Look for masks of images among the first files, by their names and by the pixels of a few."""
    return any(find_mask_layout(_choose_checked_images(folder), folder).masks.values())


def _choose_checked_images(folder: Path) -> list[Path]:
    """Choose the first images; of many, the first of each folder by name, for masks are in other folders."""
    found = list(islice(iterate_files(folder, *IMAGE_SUFFIXES), _MAX_LISTED_FILES))
    if len(found) <= _MAX_CHECKED_FILES:
        return found
    by_folder: dict[str, list[str]] = defaultdict(list)
    for path in found:
        place, _, name = str(path).rpartition(os.sep)
        by_folder[place].append(name)
    share = max(1, _MAX_CHECKED_FILES // len(by_folder))
    return [Path(place) / name for place, names in by_folder.items() for name in nsmallest(share, names)]


def read_folder(folder: Path, _options: ReadOptions = DEFAULT_OPTIONS) -> Source:
    """Read a dataset of mask images.

    Raises:
        UserError: There are no masks, none has an image, or their values are not clear.
    """
    layout, choice = _choose_masks(folder)
    _refuse_full_ade(layout.masks)
    pixels = _read_pixels(layout, folder)
    values, table = pixels.list_values(), pixels.table
    by_folder = find_folder_classes(layout.masks, values, folder) if table.is_empty else {}
    if choice.rivals and not by_folder:
        raise UserError(describe_rivals(choice.rivals, folder))
    names = choose_class_names(table, values, pixels.list_colors())
    if table.is_empty and not by_folder:
        names = check_object_numbers(names, pixels.masks, folder)
    named = {
        path: NamedMask(mask, dict.fromkeys(values, by_folder[path]) if path in by_folder else names.by_value)
        for path, mask in pixels.masks.items()
    }
    annotations = build_annotations(
        layout.masks, named, folder, needs_class=table.needs_class, has_class_folders=bool(by_folder)
    )
    lists = SplitLists(folder / "ImageSets" / "Segmentation")
    splits = lists.find_splits(item.names for item in annotations)
    annotations = [item._replace(split=split) for item, split in zip(annotations, splits, strict=True)]
    order = tuple(dict.fromkeys(name for name in names.by_value.values() if name))
    options = MatchingOptions(
        ImageIndex(layout.images), one_file_per_image=True, class_order=() if by_folder else order
    )
    remarks = [
        *choice.remarks,
        *_describe_reading(layout, pixels.threshold, folder),
        *_describe_white(pixels.masks.values(), values),
        *(_describe_folder_classes(by_folder) if by_folder else names.remarks),
        *_describe_background(layout.masks, pixels),
        *lists.list_remarks(),
    ]
    return assemble_source(folder, annotations, options, remarks)


def _refuse_full_ade(masks: Collection[Path]) -> None:
    """Refuse the full set of ADE20K, whose colors hold a class and the number of an object.

    Raises:
        UserError: It is that.
    """
    full = (path for path in masks if path.stem.endswith("_seg"))
    first = next(
        (path for path in full if path.with_name(f"{path.stem.removesuffix('_seg')}_atr.txt").is_file()), None
    )
    if first:
        raise UserError(
            f"{first} is of the full ADE20K, whose colors hold the class (red / 10 * 256 + green) and the "
            "number of an object (blue): take ADEChallengeData2016, or write masks with class numbers"
        )


def _choose_masks(folder: Path) -> tuple[MaskLayout, KindChoice]:
    """Find the masks of a source, and choose one kind where images have several.

    Raises:
        UserError: There are no masks, or it is not clear which kind is meant.
    """
    layout = find_mask_layout(list_images(folder), folder)
    if not layout.masks:
        raise UserError(
            f"no mask images in {folder}: expected {RECOGNIZED_BY}, or NAME_mask.png beside NAME.jpg"
        )
    choice = choose_mask_kinds(layout.masks, layout.spare, folder)
    pictures = [path for path in layout.spare if path not in choice.left_out and path not in choice.kept]
    masks = {mask: choice.kept[mask] for mask in sort_paths(choice.kept)}
    return layout._replace(masks=masks, pictures=sort_paths([*layout.pictures, *pictures])), choice


def _read_pixels(layout: MaskLayout, folder: Path) -> _MaskPixels:
    """Read all masks; again as plain numbers, if those of a few were taken for a public dataset wrongly."""
    paths = list(layout.masks)
    table = load_class_table(folder, paths)
    pixels = _MaskPixels(table, *_read_masks(paths, table))
    if not table.covers(pixels.list_values()):
        pixels = _MaskPixels(ClassTable(), *_read_masks(paths, ClassTable()))
    check_white(pixels.masks)
    return pixels


def _read_masks(paths: Sequence[Path], table: ClassTable) -> tuple[dict[Path, MaskContent], int | None]:
    """Read all masks, as numbers or as black and white; whether they are gray is decided over all of them."""
    reading = MaskReading(backgrounds=table.backgrounds)
    step = max(1, len(paths) // _MEASURED_MASKS)
    with ThreadPoolExecutor(choose_worker_count()) as pool:  # decoding and OpenCV release Python's lock

        def read_all(some: Sequence[Path], how: MaskReading) -> list[MaskContent]:
            return list(pool.map(partial(read_mask, reading=how), some))

        measured = read_all(paths[::step], reading._replace(measure_only=True))
        threshold = _decide_threshold(measured)
        contents = read_all(paths, reading._replace(threshold=threshold))
        if (decided := _decide_threshold(contents)) != threshold:
            threshold = decided
            contents = read_all(paths, reading._replace(threshold=threshold))
    return dict(zip(paths, contents, strict=True)), threshold


def _decide_threshold(contents: Sequence[MaskContent]) -> int | None:
    """Decide over all masks whether they are black and white.

    Raises:
        UserError: It is not clear, or colors were saved as JPEG.
    """
    colors = {color for mask in contents for color in mask.lossy_colors}
    if len(colors) > 1:
        raise UserError(
            f"JPEG masks in {len(colors)} colors, which JPEG blurs: save the masks as PNG, with a color or a "
            "number per class"
        )
    return choose_threshold([mask.levels for mask in contents if mask.levels])


def _describe_reading(layout: MaskLayout, threshold: int | None, folder: Path) -> Iterator[str]:
    """Say how pixels were read, which folders were taken for masks, and which files were left aside."""
    if threshold is not None:
        yield f"masks in shades of gray are read as black and white: above {threshold} of 255 is object"
    if layout.guessed:
        yield f"taken for masks because of their pixels: the images in {_list_places(layout.guessed)}"
    if layout.pictures:
        places = sorted({format_relative_path(path.parent, folder) for path in layout.pictures})
        count = format_count(len(layout.pictures), "picture")
        yield f"{count} of annotations left aside, in {_list_places(places)}"


def _describe_white(masks: Collection[MaskContent], values: Collection[MaskValue]) -> Iterator[str]:
    """Tell of objects around the whole image in nearly all masks: black may be the object."""
    if len(values) == 1 and sum(map(_is_framed, masks)) >= _NEARLY_ALL * len(masks):
        yield "in nearly all masks one object surrounds the rest: if black is the object, invert the masks"


def _is_framed(mask: MaskContent) -> bool:
    """Check for one object with holes that is as large as the image."""
    return any(
        shape.holes and shape.parts[0].min() <= 0 and (shape.parts[0].max(axis=0) >= mask.size).all()
        for _, shape in mask.regions
        if mask.size
    )


def _describe_folder_classes(by_folder: Mapping[Path, str]) -> Iterator[str]:
    listed = _list_places(sorted(set(by_folder.values())))
    yield f"the masks are black and white: the class of each is its folder ({listed})"


def _describe_background(paths: Iterable[Path], pixels: _MaskPixels) -> Iterator[str]:
    """Say so if nothing names the numbers, and 0 is probably not the background."""
    is_numbered = pixels.table.is_empty and pixels.threshold is None
    if is_numbered and len(pixels.list_values()) > 1 and (doubt := find_background_doubt(list(paths))):
        yield doubt


def _list_places(names: Sequence[str]) -> str:
    """List the first names, and how many more there are."""
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return ", ".join(names[:_LISTED]) + more
