"""Build the annotations of images from their masks: an object for each region."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from pipeline.core.findings import AnnotationNote
from pipeline.core.text import format_count
from pipeline.source.formats.masks.class_names import format_mask_value
from pipeline.source.formats.masks.mask_names import find_mask_ending
from pipeline.source.formats.masks.values import MIN_REGION_PIXELS, MaskContent, MaskValue
from pipeline.source.reading.entries import ImageAnnotations, collect_objects
from pipeline.source.reading.shapes import Shape


class NamedMask(NamedTuple):
    """The content of a mask, and the class names of its values; None for values without a class."""

    content: MaskContent
    names: Mapping[MaskValue, str | None]


def build_annotations(
    pairs: Mapping[Path, Path | None],
    masks: Mapping[Path, NamedMask],
    folder: Path,
    *,
    needs_class: bool,
    has_class_folders: bool,
) -> list[ImageAnnotations]:
    """Build the annotations of each image; masks of one folder and kind for one image are put together.

    If the folders of the masks are classes, all masks of an image are.

    Args:
        pairs: The image of each mask, if it is clear.
        masks: The content of each mask.
        folder: The source folder.
        needs_class: Every labeled image has a class somewhere: a mask without any is not labeled.
        has_class_folders: The class of each mask is its folder.
    """
    groups: dict[tuple[object, ...], list[Path]] = defaultdict(list)
    for mask, image in pairs.items():
        kind = () if has_class_folders else (mask.parent, find_mask_ending(mask.stem), mask.suffix)
        groups[(image or mask, *kind)].append(mask)
    built = [
        _build_image(paths, [masks[path] for path in paths], pairs[paths[0]], folder)
        for paths in groups.values()
    ]
    return list(map(_require_class, built)) if needs_class else built


def _build_image(
    paths: Sequence[Path], masks: Sequence[NamedMask], image: Path | None, folder: Path
) -> ImageAnnotations:
    """Build the objects of one image; values without a class are left out."""
    rows = list(_number_regions(masks))
    objects, notes = collect_objects(rows, lambda row: row)
    specks = (
        _note_specks(value, count)
        for mask in masks
        for value, count in mask.content.specks.items()
        if mask.names[value]
    )
    own = dict.fromkeys(note for mask in masks for note in mask.content.notes)
    sizes = {mask.content.size for mask in masks if mask.content.size}
    return ImageAnnotations(
        paths[0],
        (str(image.relative_to(folder)), image.stem) if image else (),
        objects,
        (*own, *notes, *specks),
        size=masks[0].content.size,
        fault=_find_fault(masks) or (f"masks of different sizes: {sorted(sizes)}" if len(sizes) > 1 else ""),
    )


def _number_regions(masks: Sequence[NamedMask]) -> Iterator[tuple[str, tuple[str, Shape]]]:
    numbers = Counter[str]()
    for mask in masks:
        for value, shape in mask.content.regions:
            if label := mask.names[value]:
                numbers[label] += 1
                yield f"{label}, region {numbers[label]}", (label, shape)


def _find_fault(masks: Sequence[NamedMask]) -> str:
    return next((mask.content.fault for mask in masks if mask.content.fault), "")


def _require_class(entry: ImageAnnotations) -> ImageAnnotations:
    """Add a fault to an image without any class, in a dataset whose labeled images all have some."""
    if entry.objects or entry.notes or entry.fault:
        return entry
    return entry._replace(fault="its mask has no class: not labeled, as the test split of Cityscapes")


def _note_specks(value: MaskValue, count: int) -> AnnotationNote:
    specks = f"{format_count(count, 'speck')} of {format_mask_value(value)}"
    return AnnotationNote(True, f"{specks}, each of under {MIN_REGION_PIXELS} pixels")
