"""Read COCO JSON: `annotations/*.json` and images/, or `<split>/_annotations.coco.json` beside the images."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, Final

from pipeline.core.errors import UserError
from pipeline.core.findings import AnnotationNote, Finding
from pipeline.source.formats.coco.box_meaning import interpret_boxes
from pipeline.source.formats.coco.categories import (
    check_categories,
    map_category_ids,
    merge_categories,
    normalize_id,
)
from pipeline.source.formats.coco.crowds import resolve_crowds
from pipeline.source.formats.coco.entries import CocoFile, CocoImage
from pipeline.source.formats.coco.files import (
    describe_unlisted_folders,
    find_coco_files,
    find_image_folder,
    find_unlisted_images,
    has_coco_json,
)
from pipeline.source.formats.coco.keypoints import flatten_keypoints, infer_keypoints
from pipeline.source.formats.coco.objects import (
    JsonObject,
    list_labeled_boxes,
    name_annotation,
    parse_objects,
)
from pipeline.source.formats.coco.splits import assign_folder_splits, drop_lone_split, find_file_split
from pipeline.source.plausibility.box_meaning import refuse_misread_boxes
from pipeline.source.plausibility.rival_annotations import refuse_rival_files
from pipeline.source.reading.file_tree import format_relative_path, sort_paths
from pipeline.source.reading.image_index import NO_MATCH, ImageIndex, NameMatch
from pipeline.source.reading.match_images import resolve_rival_matches
from pipeline.source.types import (
    DEFAULT_OPTIONS,
    AnnotatedImage,
    ReadOptions,
    Source,
    choose_held_out_split,
    choose_task_by_outlines,
    find_split_in_name,
)

RECOGNIZED_BY: Final = "JSON with images, annotations and categories"

_MAX_IMAGE_SIDE: Final = 1e9
_PATH_CHARACTERS: Final = re.compile(r"[/\\:]|^\.*$")
_STANDARD_IMAGE_KEYS: Final = {
    "id",
    "file_name",
    "width",
    "height",
    "license",
    "coco_url",
    "flickr_url",
    "date_captured",
}
"""Keys of every COCO image; other keys are further columns, which data.group_by can use."""


def matches_folder(folder: Path) -> bool:
    """Check the start and end of the first JSON files."""
    return has_coco_json(folder)


def read_folder(folder: Path, options: ReadOptions = DEFAULT_OPTIONS) -> Source:
    """Read a COCO dataset.

    Raises:
        UserError: There is no annotation file, or one is not valid JSON.
    """
    parsed, file_remarks = find_coco_files(folder, options)
    same_name_remarks = check_categories(parsed, options)
    point_remarks = flatten_keypoints([*parsed.values()])
    box_remarks = interpret_boxes([*parsed.values()], options.labels)
    crowd_remarks = resolve_crowds([*parsed.values()], options.crowds)
    names, category_remarks = merge_categories(list(parsed.values()))
    folder, image_index, outside = find_image_folder(folder, parsed, options)
    files = [_build_file(path, data, names, folder) for path, data in parsed.items()]
    if options.file:
        files = [file._replace(split=None) for file in files]  # the only one: its images are to be divided
    entries, missing = _match_images(files, image_index, folder)
    if missing and not entries:
        raise UserError(
            f"none of the images that the COCO files list is in {folder}: {missing[0].file} is missing"
        )
    refuse_rival_files(
        {entry.file.path: list_labeled_boxes(entry.annotations, entry.file.indices) for entry in found}
        for found in entries.values()
        if len(found) > 1
    )
    images, split_remarks = _build_images(entries, folder)
    strays = [finding for file in files for finding in _find_stray_annotations(file, folder)]
    unlisted_images = [] if options.file else find_unlisted_images(entries, image_index, folder)
    defects = (*strays, *missing, *unlisted_images)
    pose = infer_keypoints(list(parsed.values()), images, options)
    task, task_remarks = ("pose", ()) if pose.keypoints else choose_task_by_outlines(images)
    unlisted = [] if options.file else describe_unlisted_folders(entries, image_index, folder)
    remarks = (
        *(*file_remarks, *crowd_remarks, *box_remarks, *point_remarks, *outside),
        *(*same_name_remarks, *split_remarks, *category_remarks, *pose.remarks, *task_remarks, *unlisted),
    )
    source = Source(names, images, defects, remarks, task, pose.keypoints)
    return refuse_misread_boxes(source, "extent", options.labels)


def _build_file(path: Path, data: Mapping[str, Any], names: Sequence[str], folder: Path) -> CocoFile:
    split = find_file_split(path, folder)
    image_folders = _list_image_folders(path, split or "", folder)
    return CocoFile(path, split, data, map_category_ids(data, names), image_folders)


def _match_images(
    files: Iterable[CocoFile], image_index: ImageIndex, folder: Path
) -> tuple[dict[Path, list[CocoImage]], list[Finding]]:
    """Find the image file of each listed image; those without one become findings."""
    entries: dict[Path, list[CocoImage]] = defaultdict(list)
    missing: list[Finding] = []
    listed = [entry for file in files for entry in _iterate_images(file)]
    matches = resolve_rival_matches([_match_image(entry, image_index) for entry in listed])
    for entry, match in zip(listed, matches, strict=True):
        if match.image is None:
            name = _path_in_source(_file_name(entry)) or _file_name(entry)  # nothing is left of "/" alone
            reason = f"listed in {format_relative_path(entry.file.path, folder)}, but there is no such image"
            missing.append(Finding(name, "quarantined", reason, "missing-image"))
        else:
            entries[match.image].append(entry._replace(note=match.note))
    return entries, missing


def _iterate_images(file: CocoFile) -> Iterator[CocoImage]:
    by_image = defaultdict(list)
    for annotation in file.data["annotations"]:
        by_image[normalize_id(annotation.get("image_id"))].append(annotation)
    for image in file.data["images"]:
        yield CocoImage(file, image, tuple(by_image.get(normalize_id(image.get("id")), ())))


def _find_stray_annotations(file: CocoFile, folder: Path) -> list[Finding]:
    """Report the annotations of images that the file does not list."""
    known = {normalize_id(image.get("id")) for image in file.data["images"]}
    return [
        Finding(
            format_relative_path(file.path, folder),
            "dropped-object",
            f"{name_annotation(row)}: no image {row.get('image_id')!r}",
            "stray-annotation",
        )
        for row in file.data["annotations"]
        if normalize_id(row.get("image_id")) not in known
    ]


def _list_image_folders(file: Path, split: str, folder: Path) -> tuple[str, ...]:
    """List the folders in which exporters put the images of an annotation file."""
    stem, beside = file.stem.removeprefix("instances_"), file.parent
    inner = beside, beside / "images", beside / "data", beside.parent / "images"
    outer = folder / "images" / stem, folder / stem, folder / "images" / split, folder / split
    return tuple(map(str, (*inner, *outer, folder / "images", folder)))


def _find_in_usual_folders(relative_name: str, file: CocoFile, image_index: ImageIndex) -> Path | None:
    """Find an image in the folders in which exporters put it."""
    for image_folder in file.image_folders:
        name = f"{image_folder}/{relative_name}"
        if os.path.isfile(name):  # noqa: PTH113 - Path.is_file is slow for many images
            return image_index.by_path.get(name) or Path(name)
    return None


def _file_name(entry: CocoImage) -> str:
    return str(entry.image.get("file_name"))


def _match_image(entry: CocoImage, image_index: ImageIndex) -> NameMatch:
    """Find an image in the usual folders or in another folder, but never in one of another split."""
    name, file = _file_name(entry), entry.file
    relative_name = _path_in_source(name)
    if path := _find_in_usual_folders(relative_name, file, image_index):
        return NameMatch(path, name=name, place=relative_name.rpartition("/")[0])
    found = image_index.find([name], near=file.path.parent)
    folder_split = find_split_in_name(found.image.parent.name) if found.image else None
    allowed = found.image and (file.split is None or folder_split in {None, file.split})
    return found if allowed else NO_MATCH


def _path_in_source(name: str) -> str:
    """Return a path inside the source; for a path outside of it, only the file name."""
    if not _PATH_CHARACTERS.search(name):
        return name
    path = PurePosixPath(name.replace("\\", "/"))
    return path.name if path.is_absolute() or ".." in path.parts or ":" in name else str(path)


def _build_images(
    entries: Mapping[Path, list[CocoImage]], folder: Path
) -> tuple[tuple[AnnotatedImage, ...], list[str]]:
    """Build the images with the splits that files or folders name; say so if a name is not used."""
    entries, file_remarks = drop_lone_split(entries)
    images, folder_remarks = assign_folder_splits(
        tuple(_build_image(path, entries[path], folder) for path in sort_paths(entries))
    )
    is_split = any(image.split for image in images)
    return images, [] if is_split else file_remarks or folder_remarks


def _build_image(path: Path, entries: list[CocoImage], folder: Path) -> AnnotatedImage:
    splits = {entry.file.split for entry in entries}
    split = choose_held_out_split(splits)
    chosen = [entry for entry in entries if entry.file.split == split]
    notes = [AnnotationNote(False, entry.note) for entry in chosen if entry.note]
    if len(splits) > 1:
        named = " and ".join(sorted(filter(None, splits)))
        reason = f"listed in {named}{' and in no split' if None in splits else ''}: kept in {split} alone"
        notes.append(AnnotationNote(False, reason, "listed-twice"))
    elif len(chosen) > 1:
        reason = f"listed {len(chosen)} times: its objects are put together"
        notes.append(AnnotationNote(False, reason, "listed-twice"))
    size = _image_size(chosen[0].image)
    rows = [(row, entry.file.indices) for entry in chosen for row in entry.annotations]
    raw, object_notes = parse_objects(rows, size)
    return AnnotatedImage(
        path,
        format_relative_path(path, folder),
        split,
        raw,
        size=size,
        notes=(*notes, *object_notes),
        columns=_extra_columns(chosen[0].image),
    )


def _extra_columns(image: JsonObject) -> dict[str, str]:
    """Return the further keys of an image with a text or a number, such as its location or its sequence."""
    others = [
        key
        for key in image.keys() - _STANDARD_IMAGE_KEYS
        if isinstance(image[key], str | int) and key.isprintable()
    ]
    return {key: str(image[key]) for key in sorted(others)}


def _image_size(image: JsonObject) -> tuple[int, int] | None:
    width, height = image.get("width", 0), image.get("height", 0)
    is_valid = all(
        isinstance(side, int | float) and side % 1 == 0 and 0 < side < _MAX_IMAGE_SIDE
        for side in (width, height)
    )
    return (int(width), int(height)) if is_valid else None
