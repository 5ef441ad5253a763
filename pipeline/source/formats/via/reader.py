"""VGG Image Annotator (VIA): projects and exports of version 1 and 2, as JSON or CSV, and projects of 3."""

from __future__ import annotations

import csv
import io
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import unquote, urlsplit

from pipeline.core.errors import UserError
from pipeline.source.formats.via.shapes import numbered, shape
from pipeline.source.reading.assemble import gather
from pipeline.source.reading.entries import ImageAnnotations, collect
from pipeline.source.reading.file_tree import images_in
from pipeline.source.reading.image_index import ImageIndex
from pipeline.source.reading.match_images import MatchingOptions
from pipeline.source.reading.parsing import (
    UnreadableFileError,
    files,
    heads,
    load_json,
    load_text,
    parse_json,
)
from pipeline.source.reading.shapes import TAG, AnnotatedObject, Shape
from pipeline.source.types import Source

LOOKED_FOR: Final = "JSON or CSV with shape_attributes, or a project of version 3"

_USUAL: Final = ("class", "label", "name", "type", "category", "object")
"""Attributes that hold a class where several might, the most likely first."""
_ONLY: Final = "object"

Row = Mapping[str, Any]


class ViaImage(NamedTuple):
    """One image as a file lists it.

    Attributes:
        file: The annotation file.
        name: Of the image.
        regions: Pairs of shape attributes and region attributes.
        attributes: Of the image.
    """

    file: Path
    name: str
    regions: list[tuple[Row, Row]]
    attributes: Row


def recognises(folder: Path) -> bool:
    """Look into the first JSON and CSV files."""
    words = b'"shape_attributes"', b'"_via_', b'"vid_list"'
    stated = any(word in head for head in heads(folder, ".json") for word in words)
    return stated or any(b"region_shape_attributes" in head for head in heads(folder, ".csv"))


def read(folder: Path) -> Source:
    """Read a VIA dataset.

    Raises:
        Refused: There are no such files, one cannot be read, or no image has an annotation.
    """
    listed = [image for path in files(folder, ".json", ".csv") for image in _listed(path)]
    if not listed:
        raise UserError(f"no VIA annotations in {folder}: expected {LOOKED_FOR}")
    chosen = _attribute([attributes for image in listed for _, attributes in image.regions])
    if any(image.regions for image in listed):
        remarks = [_told(chosen)]
        entries = [_entry(image, chosen) for image in listed]
    else:
        chosen = _attribute([image.attributes for image in listed])
        remarks = (
            [f"no regions are drawn: classes are taken from the file attribute {chosen!r}"] if chosen else []
        )
        entries = [_tagged(image, chosen) for image in listed]
    return gather(folder, entries, MatchingOptions(ImageIndex(images_in(folder))), remarks)


def _listed(path: Path) -> Iterator[ViaImage]:
    try:
        if path.suffix.lower() == ".csv":
            yield from _table(path)
        else:
            yield from _document(path)
    except UnreadableFileError as error:
        raise UserError(f"{path} {error}: mend it or remove it") from None


def _document(path: Path) -> Iterator[ViaImage]:
    """Yield the images of a project, or of exported annotations: an object of images by name and length."""
    data = load_json(path)
    if isinstance(data, dict) and isinstance(data.get("view"), dict):
        yield from _views(path, data)
        return
    images = data.get("_via_img_metadata", data) if isinstance(data, dict) else None
    for image in images.values() if isinstance(images, dict) else ():
        if isinstance(image, dict) and isinstance(image.get("filename"), str) and "regions" in image:
            regions = image["regions"]
            rows = (
                regions.values()
                if isinstance(regions, dict)
                else regions
                if isinstance(regions, list)
                else ()
            )
            pairs = [(_part(row, "shape_attributes"), _part(row, "region_attributes")) for row in rows]
            yield ViaImage(path, image["filename"], pairs, _part(image, "file_attributes"))


def _views(path: Path, data: Row) -> Iterator[ViaImage]:
    """Yield the images of a project of version 3, where views have files, and metadata tell of views.

    A view of several files does not say which one of them a region is on.
    """
    found: dict[str, ViaImage] = {}
    whole: dict[str, dict[str, Any]] = defaultdict(dict)
    for view, shown in data["view"].items():
        numbers = shown.get("fid_list") if isinstance(shown, dict) else None
        if isinstance(numbers, list) and len(numbers) == 1:
            name = _part(data.get("file"), str(numbers[0])).get("fname")
            found |= {view: ViaImage(path, name, [], {})} if isinstance(name, str) else {}
    for row in _part(data, "metadata").values():
        view = str(row.get("vid")) if isinstance(row, dict) else ""
        if view in found and row.get("xy"):
            found[view].regions.append((numbered(row["xy"]), _answers(row, data)))
        elif view in found:
            whole[view] |= _answers(row, data)
    yield from (image._replace(attributes=whole[view]) for view, image in found.items())


def _answers(row: Row, data: Row) -> dict[str, Any]:
    """Return attributes by name; where one of several answers was chosen, that in words."""
    answers = {}
    for key, value in _part(row, "av").items():
        asked = _part(data.get("attribute"), key)
        answers[str(asked.get("aname", key))] = _part(asked, "options").get(str(value), value)
    return answers


def _table(path: Path) -> Iterator[ViaImage]:
    """Yield the images of an exported table: a row per region, or one without a shape for a bare image."""
    text, _ = load_text(path)
    if "region_shape_attributes" not in text.partition("\n")[0]:
        return
    found: dict[str, ViaImage] = {}
    try:
        for row in csv.DictReader(io.StringIO(text.lstrip("#"), newline=""), restval=""):
            name = row.get("filename") or ""
            image = found.setdefault(name, ViaImage(path, name, [], _cell(row.get("file_attributes"))))
            drawn = _cell(row.get("region_shape_attributes"))
            if drawn or str(row.get("region_count")) not in {"0", ""}:
                image.regions.append((drawn, _cell(row.get("region_attributes"))))
    except csv.Error as error:
        raise UnreadableFileError(f"is no table ({error})") from None
    yield from found.values()


def _cell(text: str | None) -> Row:
    """Read the JSON in a cell; what is none says nothing."""
    try:
        value = parse_json((text or "{}").encode())
    except UnreadableFileError:
        return {}
    return value if isinstance(value, dict) else {}


def _part(row: Any, key: str) -> Row:
    value = row.get(key) if isinstance(row, dict) else None
    return value if isinstance(value, dict) else {}


def _attribute(rows: Iterable[Row]) -> str | None:
    """Choose the attribute that holds the class: stated most often; of several the usual names first."""
    counts = Counter(name for row in rows for name, value in row.items() if _value(value))
    if not counts:
        return None
    most = max(counts.values())
    often = [name for name, count in counts.items() if count == most]
    usual = [name for word in _USUAL for name in counts if name.lower() == word and counts[name] * 2 >= most]
    return (usual or often)[0]


def _told(chosen: str | None) -> str:
    if chosen is None:
        return f"no region has an attribute with a class: all are called {_ONLY!r}"
    return f"classes are taken from the region attribute {chosen!r}"


def _value(value: Any) -> str:
    """Return the class that an attribute names; of check boxes the ticked one, if it is one."""
    if isinstance(value, dict):
        ticked = [name for name, tick in value.items() if tick is True or tick == "true"]
        return " ".join(ticked[0].split()) if len(ticked) == 1 else ""
    return " ".join(str(value).split()) if isinstance(value, str | int) else ""


def _entry(image: ViaImage, chosen: str | None) -> ImageAnnotations:
    def draw(region: tuple[Row, Row]) -> tuple[str, Shape]:
        label = _value(region[1].get(chosen)) if chosen else _ONLY
        if not label:
            raise ValueError(f"no class: its attribute {chosen!r} is empty")
        return label, shape(region[0])

    rows = [(f"region {number}", region) for number, region in enumerate(image.regions, 1)]
    found, notes = collect(rows, draw)
    return ImageAnnotations(image.file, _spellings(image.name), found, notes)


def _tagged(image: ViaImage, chosen: str | None) -> ImageAnnotations:
    label = _value(image.attributes.get(chosen)) if chosen else ""
    return ImageAnnotations(
        image.file,
        _spellings(image.name),
        (AnnotatedObject(label, TAG, f"attribute {chosen}"),) if label else (),
    )


def _spellings(name: str) -> tuple[str, ...]:
    """Spell a name as it stands, and as the path of the address that it may be, its %20 a blank again."""
    try:
        path = urlsplit(name).path if "://" in name else name
    except ValueError:  # no address after all
        path = name
    return tuple(dict.fromkeys((name, unquote(path))))
