"""Read the VGG Image Annotator (VIA): projects and exports of versions 1 and 2 (JSON, CSV), projects of 3."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import unquote, urlsplit

from pipeline.core.errors import UserError
from pipeline.source.formats.via.shapes import expand_v3_shape, parse_via_shape
from pipeline.source.plausibility.box_meaning import read_boxes_as_stated
from pipeline.source.reading.assemble import assemble_source
from pipeline.source.reading.entries import ImageAnnotations, collect_objects
from pipeline.source.reading.file_tree import list_files, list_images
from pipeline.source.reading.image_index import ImageIndex
from pipeline.source.reading.match_images import MatchingOptions
from pipeline.source.reading.parsing import UnreadableFileError, load_json, load_text, parse_json, read_heads
from pipeline.source.reading.shapes import TAG, Shape, build_object
from pipeline.source.types import DEFAULT_OPTIONS, ReadOptions, Source

RECOGNIZED_BY: Final = "JSON or CSV with shape_attributes, or a project of version 3"

_CLASS_ATTRIBUTES: Final = ("class", "label", "name", "type", "category", "object")
"""Names of attributes that usually hold the class, the most likely first."""
_JAVASCRIPT_VALUE: Final = re.compile(r'("(?:\\.|[^"\\])*")|\b(?:undefined|NaN)\b|-?\bInfinity\b')
"""A JSON text, which stays as it is, or a value that JavaScript writes where JSON has none."""
_DEFAULT_CLASS: Final = "object"

Row = Mapping[str, Any]


class ViaImage(NamedTuple):
    """One image in an annotation file.

    Attributes:
        file: The annotation file.
        name: The name of the image.
        regions: Pairs of shape attributes and region attributes.
        attributes: The file attributes of the image.
    """

    file: Path
    name: str
    regions: list[tuple[Row, Row]]
    attributes: Row


def matches_folder(folder: Path) -> bool:
    """Check the beginnings of the first JSON and CSV files."""
    keys = b'"shape_attributes"', b'"_via_', b'"vid_list"'
    has_json = any(key in head for head in read_heads(folder, ".json") for key in keys)
    return has_json or any(b"region_shape_attributes" in head for head in read_heads(folder, ".csv"))


def read_folder(folder: Path, options: ReadOptions = DEFAULT_OPTIONS) -> Source:
    """Read a VIA dataset.

    Raises:
        UserError: There is no VIA file, one cannot be read, or no image has an annotation.
    """
    images = [image for path in list_files(folder, ".json", ".csv") for image in _read_file(path)]
    if not images:
        raise UserError(f"no VIA annotations in {folder}: expected {RECOGNIZED_BY}")
    if any(image.regions for image in images):
        attribute = _choose_class_attribute(values for image in images for _, values in image.regions)
        remarks = [_describe_class_attribute(attribute)]
        annotations = [_parse_regions(image, attribute) for image in images]
    else:
        attribute = _choose_class_attribute(image.attributes for image in images)
        remark = f"no regions are drawn: classes are taken from the file attribute {attribute!r}"
        remarks = [remark] if attribute else []
        annotations = [_parse_image_class(image, attribute) for image in images]
    layout = MatchingOptions(ImageIndex(list_images(folder)))
    return read_boxes_as_stated(
        assemble_source(folder, annotations, layout, remarks), "extent", options.labels
    )


def _read_file(path: Path) -> Iterator[ViaImage]:
    try:
        if path.suffix.lower() == ".csv":
            yield from _read_csv(path)
        else:
            yield from _read_json(path)
    except UnreadableFileError as error:
        raise UserError(f"{path} {error}: fix or remove it") from None


def _read_json(path: Path) -> Iterator[ViaImage]:
    """Yield the images of a project, or of an export: an object with an entry per image."""
    data = load_json(path)
    if isinstance(data, dict) and isinstance(data.get("view"), dict):
        yield from _read_v3_project(path, data)
        return
    images = data.get("_via_img_metadata", data) if isinstance(data, dict) else None
    stated = _get_mapping(_get_mapping(data, "_via_attributes"), "region")
    for image in images.values() if isinstance(images, dict) else ():
        if isinstance(image, dict) and isinstance(image.get("filename"), str) and "regions" in image:
            regions = image["regions"]
            rows = [*regions.values()] if isinstance(regions, dict) else regions
            pairs = [
                (
                    _get_mapping(row, "shape_attributes"),
                    _name_options(_get_mapping(row, "region_attributes"), stated),
                )
                for row in (rows if isinstance(rows, list) else ())
            ]
            yield ViaImage(path, image["filename"], pairs, _get_mapping(image, "file_attributes"))


def _name_options(values: Row, stated: Row) -> Row:
    """Replace the number of an option by its text, as a project states it."""
    return {name: _name_option(value, _get_mapping(stated, name)) for name, value in values.items()}


def _name_option(value: Any, attribute: Row) -> Any:
    text = _get_mapping(attribute, "options").get(value) if isinstance(value, str) else None
    return text if isinstance(text, str) and text.strip() and value.isdecimal() else value


def _read_v3_project(path: Path, data: Row) -> Iterator[ViaImage]:
    """Yield the images of a version 3 project: a view shows files, and each metadata row describes a view.

    A view of several files is skipped: it does not state which file a region is on.
    """
    images: dict[str, ViaImage] = {}
    attributes: dict[str, dict[str, Any]] = defaultdict(dict)
    for view, content in data["view"].items():
        file_ids = content.get("fid_list") if isinstance(content, dict) else None
        if isinstance(file_ids, list) and len(file_ids) == 1:
            name = _get_mapping(data.get("file"), str(file_ids[0])).get("fname")
            images |= {view: ViaImage(path, name, [], {})} if isinstance(name, str) else {}
    for row in _get_mapping(data, "metadata").values():
        view = str(row.get("vid")) if isinstance(row, dict) else ""
        if view in images and row.get("xy"):
            images[view].regions.append((expand_v3_shape(row["xy"]), _v3_attributes(row, data)))
        elif view in images:
            attributes[view] |= _v3_attributes(row, data)
    yield from (image._replace(attributes=attributes[view]) for view, image in images.items())


def _v3_attributes(row: Row, data: Row) -> dict[str, Any]:
    """Return attribute values by name; the id of an option is replaced by its text."""
    values = {}
    for key, value in _get_mapping(row, "av").items():
        attribute = _get_mapping(data.get("attribute"), key)
        values[str(attribute.get("aname", key))] = _get_mapping(attribute, "options").get(str(value), value)
    return values


def _read_csv(path: Path) -> Iterator[ViaImage]:
    """Yield the images of an exported table: a row per region, or one row without a shape."""
    text, _ = load_text(path)
    if "region_shape_attributes" not in text.partition("\n")[0]:
        return
    images: dict[str, ViaImage] = {}
    try:
        for row in csv.DictReader(io.StringIO(text.lstrip("#"), newline=""), restval=""):
            name = row.get("filename") or ""
            image = images.setdefault(name, ViaImage(path, name, [], _parse_cell(row.get("file_attributes"))))
            shape = _parse_cell(row.get("region_shape_attributes"))
            if shape or str(row.get("region_count")) not in {"0", ""}:
                image.regions.append((shape, _parse_cell(row.get("region_attributes"))))
    except csv.Error as error:
        raise UnreadableFileError(f"is no table ({error})") from None
    yield from images.values()


def _parse_cell(text: str | None) -> Row:
    """Parse the JSON object in a cell, which may hold values of JavaScript; an empty one if it is invalid."""
    plain = _JAVASCRIPT_VALUE.sub(lambda found: found[1] or "null", text or "{}")
    try:
        value = parse_json(plain.encode())
    except UnreadableFileError:
        return {}
    return value if isinstance(value, dict) else {}


def _get_mapping(row: Any, key: str) -> Row:
    value = row.get(key) if isinstance(row, dict) else None
    return value if isinstance(value, dict) else {}


def _choose_class_attribute(rows: Iterable[Row]) -> str | None:
    """Choose the attribute that holds the class: one with a usual name, else the most frequent one.

    One with a usual name must have at least half as many values as the most frequent one.
    """
    counts = Counter(name for row in rows for name, value in row.items() if _class_name(value))
    if not counts:
        return None
    most = max(counts.values())
    most_frequent = [name for name, count in counts.items() if count == most]
    usual = [
        name
        for word in _CLASS_ATTRIBUTES
        for name in counts
        if name.lower() == word and counts[name] * 2 >= most
    ]
    return (usual or most_frequent)[0]


def _describe_class_attribute(attribute: str | None) -> str:
    if attribute is None:
        return f"no region has an attribute with a class: all are called {_DEFAULT_CLASS!r}"
    return f"classes are taken from the region attribute {attribute!r}"


def _class_name(value: Any) -> str:
    """Return the class in an attribute value as it is spelled; of checkboxes, the ticked one if there is one.

    Empty without a class, and for several ticked ones.
    """
    if isinstance(value, dict):
        ticked = [name for name, state in value.items() if state is True or state == "true"]
        value = ticked[0] if len(ticked) == 1 else ""
    name = str(value) if isinstance(value, str | int) else ""
    return "" if name.isspace() else name


def _parse_regions(image: ViaImage, attribute: str | None) -> ImageAnnotations:
    """Parse the regions of an image; `attribute` holds the class, None stands for one class."""

    def parse(region: tuple[Row, Row]) -> tuple[str, Shape]:
        label = _class_name(region[1].get(attribute)) if attribute else _DEFAULT_CLASS
        if not label:
            raise ValueError(f"no class: its attribute {attribute!r} is empty")
        return label, parse_via_shape(region[0])

    rows = [(f"region {number}", region) for number, region in enumerate(image.regions, 1)]
    objects, notes = collect_objects(rows, parse)
    return ImageAnnotations(image.file, _name_variants(image.name), objects, notes)


def _parse_image_class(image: ViaImage, attribute: str | None) -> ImageAnnotations:
    label = _class_name(image.attributes.get(attribute)) if attribute else ""
    objects = (build_object(label, TAG, f"attribute {attribute}"),) if label else ()
    return ImageAnnotations(image.file, _name_variants(image.name), objects)


def _name_variants(name: str) -> tuple[str, ...]:
    """Return a name as it is, and the decoded path of the URL that it may be."""
    try:
        path = urlsplit(name).path if "://" in name else name
    except ValueError:  # not a URL
        path = name
    return tuple(dict.fromkeys((name, unquote(path))))
