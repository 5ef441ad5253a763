"""COCO JSON: `annotations/*.json` with images/, or `<split>/_annotations.coco.json` beside the images."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, Final, NamedTuple

from pipeline.core.boxes import Note
from pipeline.core.defects import Defect
from pipeline.edges.datasets import categories, coco_files, coco_points
from pipeline.edges.datasets.categories import Indices
from pipeline.edges.datasets.coco_objects import Row, mark, objects
from pipeline.edges.datasets.pictures_by_name import NOTHING, Match, Pictures
from pipeline.edges.datasets.placing import settled
from pipeline.edges.datasets.source import (
    Annotated,
    Source,
    by_outlines,
    exists,
    held_out,
    images_in,
    relative,
    split_of,
)

LOOKED_FOR: Final = "JSON with images, annotations and categories"


def recognises(folder: Path) -> bool:
    """Tell by the beginning and the end of the first JSON files."""
    return coco_files.recognises(folder)


class File(NamedTuple):
    """One annotation file: where it lies, which split it stands for, what it holds."""

    path: Path
    split: str | None
    data: Mapping[str, Any]
    indices: Indices


class Entry(NamedTuple):
    """What one file says about one image."""

    file: File
    image: Row
    annotations: tuple[Row, ...]


def read(folder: Path) -> Source:
    """Read a COCO dataset.

    Raises:
        Refused: There is no annotation file, or one that is no JSON.
    """
    found, remarks = coco_files.find(folder)
    names, parents = categories.merge(list(found.values()))
    files = [
        File(path, _split(path, folder), data, categories.indices(data, names))
        for path, data in found.items()
    ]
    entries: dict[Path, list[Entry]] = defaultdict(list)
    defects: list[Defect] = []
    pictures = Pictures(images_in(folder))
    for file in files:
        defects += _strays(file, folder)
    listed = [entry for file in files for entry in _entries(file)]
    matches = settled([_match(entry, folder, pictures) for entry in listed])
    for entry, match in zip(listed, matches, strict=True):
        if match.image is None:
            name = _inside(_name(entry))
            reason = f"listed in {relative(entry.file.path, folder)}, but there is no such image"
            defects.append(Defect(name, "quarantined", reason, "missing-image"))
        else:
            entries[match.image].append(entry)
    images = tuple(_image(path, entries[path], folder) for path in sorted(entries))
    defects += _unlisted(entries, folder)
    posed = coco_points.tell(list(found.values()), images)
    task, mixed = ("pose", ()) if posed.keypoints else by_outlines(images)
    remarks = (*remarks, *parents, *posed.remarks, *mixed)
    return Source(names, images, tuple(defects), remarks, task, posed.keypoints)


def _split(path: Path, folder: Path) -> str | None:
    in_folder = split_of(path.parent.name) if path.parent != folder else None
    return in_folder or split_of(path.stem)


def _entries(file: File) -> Iterator[Entry]:
    by_image = defaultdict(list)
    for annotation in file.data["annotations"]:
        by_image[str(annotation.get("image_id"))].append(annotation)
    for image in file.data["images"]:
        yield Entry(file, image, tuple(by_image.get(str(image.get("id")), ())))


def _strays(file: File, folder: Path) -> list[Defect]:
    """Name the annotations of images that the file does not list."""
    known = {str(image.get("id")) for image in file.data["images"]}
    return [
        Defect(
            relative(file.path, folder),
            "dropped-object",
            f"{mark(row)}: no image {row.get('image_id')!r}",
            "stray-annotation",
        )
        for row in file.data["annotations"]
        if str(row.get("image_id")) not in known
    ]


def _locate(name: str, file: File, folder: Path) -> Path | None:
    """Find an image where exporters put it; of a path that leads out of the source, the name alone counts."""
    plain = _inside(name)
    stem = file.path.stem.removeprefix("instances_")
    split, own = file.split or "", file.path.parent
    places = (
        own,
        own / "images",
        own / "data",
        folder / "images" / stem,
        folder / stem,
        folder / "images" / split,
        folder / split,
    )
    for place in (*places, folder / "images", folder):
        if exists(place / plain) and (place / plain).is_file():
            return place / plain
    return None


def _name(entry: Entry) -> str:
    return str(entry.image.get("file_name"))


def _match(entry: Entry, folder: Path, pictures: Pictures) -> Match:
    """Find an image in its place, or in a folder of another name, but never in one of another split."""
    name, file = _name(entry), entry.file
    path = _locate(name, file, folder)
    if path:
        return Match(path, name=name, place="/".join(PurePosixPath(_inside(name)).parts[:-1]))
    found = pictures.find([name], near=file.path.parent)
    allowed = found.image and split_of(found.image.parent.name) in {None, file.split}
    return found if allowed else NOTHING


def _inside(name: str) -> str:
    path = PurePosixPath(name.replace("\\", "/"))
    return path.name if path.is_absolute() or ".." in path.parts or ":" in name else str(path)


def _image(path: Path, entries: list[Entry], folder: Path) -> Annotated:
    splits = {entry.file.split for entry in entries}
    split = held_out(splits)
    chosen = [entry for entry in entries if entry.file.split == split]
    notes = []
    if len(splits) > 1:
        notes.append(
            Note(
                False,
                f"listed in {' and '.join(sorted(map(str, splits)))}: kept in {split} alone",
                "listed-twice",
            )
        )
    elif len(chosen) > 1:
        notes.append(Note(False, f"listed {len(chosen)} times: its objects are put together", "listed-twice"))
    raw, found = objects([(row, entry.file.indices) for entry in chosen for row in entry.annotations])
    return Annotated(
        path, relative(path, folder), split, raw, size=_size(chosen[0].image), notes=(*notes, *found)
    )


def _size(image: Row) -> tuple[int, int] | None:
    width, height = image.get("width"), image.get("height")
    return (width, height) if type(width) is type(height) is int and min(width, height) > 0 else None


def _unlisted(entries: Mapping[Path, Any], folder: Path) -> list[Defect]:
    """Name the images beside listed ones that no file lists: nobody says that nothing is on them."""
    beside = sorted({path.parent for path in entries})
    return [
        Defect(relative(path, folder), "quarantined", "not listed in any annotation file", "unlisted-image")
        for place in beside
        for path in images_in(place, deep=False)
        if path not in entries
    ]
