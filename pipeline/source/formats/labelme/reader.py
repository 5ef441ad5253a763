"""LabelMe: a JSON file per image, by the desktop tool; or an XML file per image, by the older web tool.

The image lies beside its JSON file, or is held within it.
"""

from __future__ import annotations

import base64
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, Final

import numpy as np

from pipeline.core.arrays import FloatArray
from pipeline.core.findings import AnnotationNote
from pipeline.core.text import format_count
from pipeline.source.formats.labelme import xml
from pipeline.source.formats.labelme.xml import is_mask
from pipeline.source.formats.masks.values import covered
from pipeline.source.reading import shapes
from pipeline.source.reading.assemble import gather
from pipeline.source.reading.entries import ImageAnnotations, collect
from pipeline.source.reading.file_tree import images_in
from pipeline.source.reading.image_index import ImageIndex
from pipeline.source.reading.match_images import MatchingOptions
from pipeline.source.reading.parsing import UnreadableFileError, files, heads, left_aside, load_json, unusable
from pipeline.source.reading.shapes import TAG, AnnotatedObject, Shape
from pipeline.source.reading.trace_mask import trace
from pipeline.source.types import Source

LOOKED_FOR: Final = "JSON with shapes and imagePath, or XML with objects of polygons, a file per image"

_IGNORED: Final = {"__ignore__", "_background_"}
_POINTS: Final = {"point", "points"}

Row = Mapping[str, Any]


def recognises(folder: Path) -> bool:
    """Look into the first JSON and XML files."""
    stated = any(
        b'"shapes"' in head and (b'"imagePath"' in head or b'"points"' in head)
        for head in heads(folder, ".json")
    )
    return stated or any(map(xml.recognises, heads(folder, ".xml")))


def read(folder: Path) -> Source:
    """Read a LabelMe dataset.

    Raises:
        Refused: No annotation has an image.
    """
    read_files = {path: _entry(path) for path in files(folder, ".json")}
    read_files |= {path: xml.entry(path, folder) for path in files(folder, ".xml")}
    entries = [entry for entry in read_files.values() if entry]
    others = [path for path, entry in read_files.items() if not entry]
    images = [path for path in images_in(folder) if not is_mask(path, folder)]
    remarks = left_aside(others, "no annotation of LabelMe")
    return gather(folder, entries, MatchingOptions(ImageIndex(images), each=True), remarks)


def embedded(contents: bytes) -> bytes:
    """Return the image that a JSON file holds within.

    Args:
        contents: Of the file, which has been read once and is known to hold one.

    Raises:
        ValueError: It is not in base64.
    """
    return base64.b64decode(json.loads(contents)["imageData"], validate=True)


def _entry(path: Path) -> ImageAnnotations | None:
    """Read one JSON file; nothing where it is another kind of JSON."""
    try:
        data = load_json(path)
    except UnreadableFileError as error:
        return ImageAnnotations(path, (path.stem,), fault=unusable(path, error))
    if not isinstance(data, dict) or not isinstance(data.get("shapes"), list):
        return None
    stated = str(data.get("imagePath") or "")
    own = PurePosixPath(stated.replace("\\", "/")).stem == path.stem
    found, notes = _objects(data)
    return ImageAnnotations(
        path,
        (stated, path.stem) if own else (path.stem, stated),
        found,
        notes,
        size=_size(data),
        load=embedded if isinstance(data.get("imageData"), str) and data["imageData"] else None,
    )


def _size(data: Row) -> tuple[int, int] | None:
    width, height = data.get("imageWidth"), data.get("imageHeight")
    if isinstance(width, int) and isinstance(height, int) and min(width, height) > 0:
        return width, height
    return None


def _objects(data: Row) -> tuple[tuple[AnnotatedObject, ...], tuple[AnnotationNote, ...]]:
    rows = [(f"shape {number}", row) for number, row in enumerate(data["shapes"], 1)]
    drawn, notes = collect(rows, _draw)
    groups = [row.get("group_id") if isinstance(row, dict) else None for _, row in rows]
    group_of = {mark: group for (mark, _), group in zip(rows, groups, strict=True)}
    joined, left = _join(drawn, group_of)
    flags = data.get("flags")
    raised = [name for name, flag in flags.items() if flag is True] if isinstance(flags, dict) else []
    tags, unnamed = collect(
        [(f"flag {name!r}", name) for name in raised], lambda name: (shapes.named(name), TAG)
    )
    return (*joined, *tags), (*notes, *left, *unnamed)


def _draw(row: Any) -> tuple[str, Shape]:
    if not isinstance(row, dict):
        raise ValueError("no shape")
    label = shapes.named(row.get("label"))
    if label in _IGNORED:
        raise ValueError(f"labelled {label}, which is no class")
    kind, points = row.get("shape_type") or "polygon", row.get("points")
    if not isinstance(points, list):
        raise ValueError("no points")
    return label, _shape(str(kind), points, row)


def _shape(kind: str, points: list[Any], row: Row) -> Shape:
    """Turn the points of a shape into what they stand for."""
    pairs = shapes.pairs(points)
    if kind in _POINTS and len(pairs) == 1:
        return Shape("pose", points={"": (pairs[0, 0], pairs[0, 1], 2)})
    if kind == "rectangle" and len(pairs) in {2, 4}:  # two corners in any order, or all four
        return shapes.box([*pairs.min(axis=0), *pairs.max(axis=0)])
    if kind == "circle" and len(pairs) == 2:
        radius = float(np.hypot(*(pairs[1] - pairs[0])))
        return shapes.ellipse((pairs[0, 0], pairs[0, 1]), (radius, radius))
    if kind in {"rotation", "oriented_rectangle"}:
        return shapes.corners(pairs)
    if kind == "mask" and len(pairs) == 2:
        return _mask(row.get("mask"), pairs)
    if kind == "polygon":
        return shapes.outline(shapes.ring(points))
    raise ValueError(f"a {kind} of {format_count(len(pairs), 'point')}, which has no area")


def _mask(data: Any, corners: FloatArray) -> Shape:
    """Outline a mask: a PNG in base64 of what lies between two corners."""
    try:
        png = base64.b64decode(data, validate=True)
    except (TypeError, ValueError):
        raise ValueError("a mask that is not in base64") from None
    left, top = corners.min(axis=0).round().astype(int)
    return trace(covered(png), left=left, top=top)


def _join(
    drawn: Sequence[AnnotatedObject], group_of: Mapping[str, Any]
) -> tuple[list[AnnotatedObject], list[AnnotationNote]]:
    """Put together what has one group: points with the object around them, and the parts of one object."""
    groups: dict[str, list[AnnotatedObject]] = defaultdict(list)
    for item in drawn:
        group = group_of[item.mark]
        groups[item.mark if group is None else f"group {group}"].append(item)
    found, notes = [], []
    for members in groups.values():
        points = [item for item in members if item.shape.kind == "pose"]
        others = list(_parts([item for item in members if item.shape.kind != "pose"]))
        if points and len(others) == 1:
            others = [_posed(points, others[0])]
        elif points:
            notes += [
                AnnotationNote(True, f"{item.mark}: a point, in no group with one object around it")
                for item in points
            ]
        found += others
    return found, notes


def _parts(members: Sequence[AnnotatedObject]) -> Iterator[AnnotatedObject]:
    """Make one object of outlines in one group that have one class."""
    together: dict[tuple[str, str], list[AnnotatedObject]] = defaultdict(list)
    for item in members:
        kind = item.shape.kind
        together[kind, item.label if kind == "outline" else item.mark].append(item)
    for first, *others in together.values():
        parts = [part for item in (first, *others) for part in item.shape.parts]
        holes = sum(item.shape.holes for item in (first, *others))
        yield first._replace(shape=shapes.outline(*parts, holes=holes)) if others else first


def _posed(points: Sequence[AnnotatedObject], around: AnnotatedObject) -> AnnotatedObject:
    placed = {item.label: item.shape.points[""] for item in points}
    return AnnotatedObject(around.label, shapes.pose(placed, shapes.box(around.shape.box)), around.mark)
