"""Read VoTT JSON: an export with all assets (NAME-export.json), or a file per asset (ID-asset.json)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import unquote

from pipeline.core.errors import UserError
from pipeline.core.findings import AnnotationNote
from pipeline.core.text import format_count
from pipeline.source.plausibility.box_meaning import read_boxes_as_stated
from pipeline.source.reading.assemble import assemble_source
from pipeline.source.reading.entries import ImageAnnotations, collect_objects
from pipeline.source.reading.file_tree import list_files, list_images
from pipeline.source.reading.image_index import ImageIndex
from pipeline.source.reading.match_images import MatchingOptions
from pipeline.source.reading.parsing import UnreadableFileError, load_json, read_heads
from pipeline.source.reading.shapes import (
    Shape,
    build_box,
    build_outline,
    parse_class_name,
    parse_coordinate,
    parse_ring,
)
from pipeline.source.types import DEFAULT_OPTIONS, ReadOptions, Source

RECOGNIZED_BY: Final = "JSON with assets, or an asset, and regions of boundingBox and tags"

_BOX_KEYS: Final = ("left", "top", "width", "height")
_AREA_TYPES: Final = {"RECTANGLE", "SQUARE", "POLYGON"}
_NOT_VISITED: Final = 0
_VISITED: Final = 1

Row = Mapping[str, Any]


class VottAsset(NamedTuple):
    """One asset in one file.

    Attributes:
        file: The file.
        key: Its id, or its name if it has none.
        asset: Name, path, size and state.
        regions: The regions.
        is_exported: The file is an export; else it is a file of the project.
    """

    file: Path
    key: str
    asset: Row
    regions: list[Any]
    is_exported: bool


def matches_folder(folder: Path) -> bool:
    """Check the beginnings of the first JSON files."""
    return any(
        b'"securityToken"' in head
        or (b'"regions"' in head and b'"asset"' in head and (b'"state"' in head or b'"boundingBox"' in head))
        for head in read_heads(folder, ".json")
    )


def read_folder(folder: Path, options: ReadOptions = DEFAULT_OPTIONS) -> Source:
    """Read exports and asset files of VoTT.

    Raises:
        UserError: There is no such file, one cannot be read, or no image has an asset.
    """
    found = [asset for path in list_files(folder, ".json") for asset in _read_file(path)]
    if not found:
        raise UserError(f"no VoTT assets in {folder}: expected {RECOGNIZED_BY}")
    assets, remarks = _drop_repeated(found)
    empty = sum(asset.asset.get("state") == _VISITED and not asset.regions for asset in assets)
    if empty:
        images = format_count(empty, "image was", "images were")
        remarks.append(f"{images} opened in VoTT, and no region drawn: taken as images without objects")
    entries = [_build_entry(asset) for asset in assets]
    source = assemble_source(folder, entries, MatchingOptions(ImageIndex(list_images(folder))), remarks)
    return read_boxes_as_stated(source, "extent", options.labels)


def _read_file(path: Path) -> Iterator[VottAsset]:
    """Yield the assets of a file; none if it is another kind of JSON."""
    try:
        data = load_json(path)
    except UnreadableFileError as error:
        raise UserError(f"{path} {error}: fix or remove it") from None
    if not isinstance(data, dict):
        return
    assets = data.get("assets")
    is_exported = isinstance(assets, dict)
    for row in assets.values() if isinstance(assets, dict) else (data,):
        asset = row.get("asset") if isinstance(row, dict) else None
        if isinstance(asset, dict) and isinstance(row.get("regions"), list):
            key = str(asset.get("id") or asset.get("name"))
            yield VottAsset(path, key, asset, row["regions"], is_exported)


def _drop_repeated(found: list[VottAsset]) -> tuple[list[VottAsset], list[str]]:
    """Drop the asset files of a project whose images are in an export; say so if they differ."""
    exported = {asset.key: asset for asset in found if asset.is_exported}
    repeated = [asset for asset in found if not asset.is_exported and asset.key in exported]
    differing = sum(asset.regions != exported[asset.key].regions for asset in repeated)
    kept = [asset for asset in found if asset.is_exported or asset.key not in exported]
    if not differing:
        return kept, []
    images = format_count(differing, "image has", "images have")
    return kept, [
        f"{images} other regions in the export than in the files of the project: the export is read"
    ]


def _build_entry(asset: VottAsset) -> ImageAnnotations:
    stated = [text for key in ("name", "path") if isinstance(text := asset.asset.get(key), str)]
    # Names are encoded as parts of a URL, or not, depending on the version.
    names = dict.fromkeys(
        text.removeprefix("file:") for one in stated for text in (one, unquote(one)) if text
    )
    rows = [
        (f"region {number}{part}", (region, tag))
        for number, region in enumerate(asset.regions, 1)
        for part, tag in _list_tags(region)
    ]
    objects, notes = collect_objects(rows, _parse_region)
    if asset.asset.get("state") == _NOT_VISITED and not asset.regions:
        notes = (AnnotationNote(False, "never opened in VoTT", "missing-label"), *notes)
    return ImageAnnotations(asset.file, tuple(names) or ("",), objects, notes, size=_get_size(asset.asset))


def _list_tags(region: Any) -> list[tuple[str, Any]]:
    """Return the tags of a region, each with what its name in reports ends with; one without tags is faulty.

    A region with several tags is an object of each of these classes.
    """
    tags = region.get("tags") if isinstance(region, dict) else None
    if not isinstance(tags, list) or not tags:
        return [("", None)]
    return [(f" ({tag})" if len(tags) > 1 else "", tag) for tag in tags]


def _parse_region(row: tuple[Any, Any]) -> tuple[str, Shape]:
    region, tag = row
    if not isinstance(region, dict):
        raise ValueError("no region")
    label, points = parse_class_name(tag), region.get("points")
    kind = str(region.get("type", "RECTANGLE"))
    if kind == "POLYGON" and isinstance(points, list):
        pairs = [[point.get("x"), point.get("y")] for point in points if isinstance(point, dict)]
        return label, build_outline(parse_ring(pairs))
    if kind not in _AREA_TYPES:
        raise ValueError(f"a {kind.lower()[:40]}, which has no area")
    box = region.get("boundingBox")
    if not isinstance(box, dict):
        raise ValueError("no boundingBox")
    left, top, width, height = (parse_coordinate(box.get(key)) for key in _BOX_KEYS)
    return label, build_box((left, top, left + width, top + height))


def _get_size(asset: Row) -> tuple[int, int] | None:
    size = asset.get("size")
    width, height = (size.get("width"), size.get("height")) if isinstance(size, dict) else (None, None)
    return (width, height) if type(width) is type(height) is int and min(width, height) > 0 else None
