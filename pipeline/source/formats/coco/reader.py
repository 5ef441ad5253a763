"""COCO JSON: `annotations/*.json` with images/, or `<split>/_annotations.coco.json` beside the images."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, Final, NamedTuple

from pipeline.core.findings import AnnotationNote, Finding
from pipeline.source.formats.coco import categories, keypoints
from pipeline.source.formats.coco import files as coco_files
from pipeline.source.formats.coco.categories import CategoryIndices
from pipeline.source.formats.coco.files import left_aside
from pipeline.source.formats.coco.objects import JsonObject, mark, objects
from pipeline.source.reading.file_tree import images_in, in_order, relative
from pipeline.source.reading.image_index import NOTHING, ImageIndex, NameMatch
from pipeline.source.reading.match_images import settled
from pipeline.source.types import AnnotatedImage, Source, by_outlines, held_out, split_of

_MOST: Final = 1e9
_MORE_THAN_A_NAME: Final = re.compile(r"[/\\:]|^\.*$")
_USUAL: Final = {"id", "file_name", "width", "height", "license", "coco_url", "flickr_url", "date_captured"}
"""What each image of COCO has: nothing to tell groups by."""
LOOKED_FOR: Final = "JSON with images, annotations and categories"


def recognises(folder: Path) -> bool:
    """Tell by the beginning and the end of the first JSON files."""
    return coco_files.recognises(folder)


class CocoFile(NamedTuple):
    """One annotation file: where it lies, its split, what it holds, and where its images may lie."""

    path: Path
    split: str | None
    data: Mapping[str, Any]
    indices: CategoryIndices
    places: tuple[str, ...]


class CocoImage(NamedTuple):
    """What one file says about one image, and how the image's name differs from what it says."""

    file: CocoFile
    image: JsonObject
    annotations: tuple[JsonObject, ...]
    note: str = ""


def read(folder: Path) -> Source:
    """Read a COCO dataset.

    Raises:
        Refused: There is no annotation file, or one that is no JSON.
    """
    found, remarks = coco_files.find(folder)
    names, parents = categories.merge(list(found.values()))
    files = [
        CocoFile(path, split, data, categories.indices(data, names), _places(path, split or "", folder))
        for path, data in found.items()
        for split in [_split(path, folder)]
    ]
    entries: dict[Path, list[CocoImage]] = defaultdict(list)
    defects: list[Finding] = []
    pictures = ImageIndex(images_in(folder))
    for file in files:
        defects += _strays(file, folder)
    listed = [entry for file in files for entry in _entries(file)]
    matches = settled([_match(entry, pictures) for entry in listed])
    for entry, match in zip(listed, matches, strict=True):
        if match.image is None:
            name = _inside(_name(entry)) or _name(entry)  # of a name that is but a root, nothing is inside
            reason = f"listed in {relative(entry.file.path, folder)}, but there is no such image"
            defects.append(Finding(name, "quarantined", reason, "missing-image"))
        else:
            entries[match.image].append(entry._replace(note=match.note))
    images = _divided(tuple(_image(path, entries[path], folder) for path in in_order(entries)))
    defects += coco_files.unlisted(entries, pictures, folder)
    posed = keypoints.tell(list(found.values()), images)
    task, mixed = ("pose", ()) if posed.keypoints else by_outlines(images)
    remarks = (*remarks, *parents, *posed.remarks, *mixed, *left_aside(entries, pictures, folder))
    return Source(names, images, tuple(defects), remarks, task, posed.keypoints)


def _split(path: Path, folder: Path) -> str | None:
    above = path.relative_to(folder).parts[-2::-1]  # its folder first
    return next(filter(None, map(split_of, above)), None) or split_of(path.stem)


def _entries(file: CocoFile) -> Iterator[CocoImage]:
    by_image = defaultdict(list)
    for annotation in file.data["annotations"]:
        by_image[str(annotation.get("image_id"))].append(annotation)
    for image in file.data["images"]:
        yield CocoImage(file, image, tuple(by_image.get(str(image.get("id")), ())))


def _strays(file: CocoFile, folder: Path) -> list[Finding]:
    """Name the annotations of images that the file does not list."""
    known = {str(image.get("id")) for image in file.data["images"]}
    return [
        Finding(
            relative(file.path, folder),
            "dropped-object",
            f"{mark(row)}: no image {row.get('image_id')!r}",
            "stray-annotation",
        )
        for row in file.data["annotations"]
        if str(row.get("image_id")) not in known
    ]


def _places(file: Path, split: str, folder: Path) -> tuple[str, ...]:
    """List where exporters put the images of an annotation file."""
    stem, own = file.stem.removeprefix("instances_"), file.parent
    inner = own, own / "images", own / "data", own.parent / "images"
    outer = folder / "images" / stem, folder / stem, folder / "images" / split, folder / split
    return tuple(map(str, (*inner, *outer, folder / "images", folder)))


def _locate(plain: str, file: CocoFile, pictures: ImageIndex) -> Path | None:
    """Find an image where exporters put it."""
    for place in file.places:
        name = f"{place}/{plain}"
        if os.path.isfile(name):  # noqa: PTH113 - see relative
            return pictures.at.get(name) or Path(name)
    return None


def _name(entry: CocoImage) -> str:
    return str(entry.image.get("file_name"))


def _match(entry: CocoImage, pictures: ImageIndex) -> NameMatch:
    """Find an image in its place, or in a folder of another name, but never in one of another split."""
    name, file = _name(entry), entry.file
    plain = _inside(name)
    if path := _locate(plain, file, pictures):
        return NameMatch(path, name=name, place=plain.rpartition("/")[0])
    found = pictures.find([name], near=file.path.parent)
    allowed = found.image and split_of(found.image.parent.name) in {None, file.split}
    return found if allowed else NOTHING


def _inside(name: str) -> str:
    """Return a path in the source; of one that leads out of it, the name alone."""
    if not _MORE_THAN_A_NAME.search(name):
        return name
    path = PurePosixPath(name.replace("\\", "/"))
    return path.name if path.is_absolute() or ".." in path.parts or ":" in name else str(path)


def _image(path: Path, entries: list[CocoImage], folder: Path) -> AnnotatedImage:
    splits = {entry.file.split for entry in entries}
    split = held_out(splits)
    chosen = [entry for entry in entries if entry.file.split == split]
    notes = [AnnotationNote(False, entry.note) for entry in chosen if entry.note]
    if len(splits) > 1:
        notes.append(
            AnnotationNote(
                False,
                f"listed in {' and '.join(sorted(map(str, splits)))}: kept in {split} alone",
                "listed-twice",
            )
        )
    elif len(chosen) > 1:
        notes.append(
            AnnotationNote(False, f"listed {len(chosen)} times: its objects are put together", "listed-twice")
        )
    size = _size(chosen[0].image)
    raw, found = objects([(row, entry.file.indices) for entry in chosen for row in entry.annotations], size)
    return AnnotatedImage(
        path,
        relative(path, folder),
        split,
        raw,
        size=size,
        notes=(*notes, *found),
        columns=_columns(chosen[0].image),
    )


def _divided(images: tuple[AnnotatedImage, ...]) -> tuple[AnnotatedImage, ...]:
    """Go by the images' folders where no file stands for a split, if they tell two or more apart."""
    if any(image.split for image in images):
        return images
    places = {image.source.rpartition("/")[0] for image in images}
    named = {place: next(filter(None, map(split_of, place.split("/")[::-1])), None) for place in places}
    if len({*named.values()} - {None}) < 2:
        return images
    return tuple(image._replace(split=named[image.source.rpartition("/")[0]]) for image in images)


def _columns(image: JsonObject) -> dict[str, str]:
    """Return what else is said of an image in a word or a number, such as its place or its sequence."""
    others = [key for key in image.keys() - _USUAL if isinstance(image[key], str | int) and key.isprintable()]
    return {key: str(image[key]) for key in sorted(others)}


def _size(image: JsonObject) -> tuple[int, int] | None:
    width, height = image.get("width", 0), image.get("height", 0)
    whole = all(
        isinstance(side, int | float) and side % 1 == 0 and 0 < side < _MOST for side in (width, height)
    )
    return (int(width), int(height)) if whole else None
