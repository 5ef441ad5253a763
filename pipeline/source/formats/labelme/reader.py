"""Read LabelMe: a JSON file per image (desktop tool), or an XML file per image (older web tool).

The image file is beside its JSON file, or embedded in it.
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
from pipeline.source.formats.labelme.image_files import list_labeled_images
from pipeline.source.formats.labelme.xml import is_labelme_xml, read_xml_file
from pipeline.source.formats.masks.values import decode_object_mask
from pipeline.source.plausibility.box_meaning import read_boxes_as_stated
from pipeline.source.plausibility.predictions import check_object_scores, get_score
from pipeline.source.reading.assemble import assemble_source
from pipeline.source.reading.entries import ImageAnnotations, collect_objects
from pipeline.source.reading.file_tree import list_files
from pipeline.source.reading.image_index import ImageIndex
from pipeline.source.reading.match_images import MatchingOptions
from pipeline.source.reading.parsing import (
    UnreadableFileError,
    describe_ignored_files,
    describe_unusable_annotation,
    load_json,
    read_heads,
)
from pipeline.source.reading.shapes import (
    TAG,
    AnnotatedObject,
    Shape,
    build_box,
    build_ellipse,
    build_outline,
    build_pose,
    build_rotated_box,
    describe_repeated_point,
    parse_class_name,
    parse_points,
    parse_ring,
)
from pipeline.source.reading.trace_mask import trace_mask_outline
from pipeline.source.types import DEFAULT_OPTIONS, ReadOptions, Source

RECOGNIZED_BY: Final = "JSON with shapes and imagePath, or XML with objects of polygons, a file per image"

_IGNORED_LABELS: Final = {"__ignore__", "_background_"}
_POINT_TYPES: Final = {"point", "points"}

Row = Mapping[str, Any]


def matches_folder(folder: Path) -> bool:
    """Check the beginnings of the first JSON and XML files."""
    has_json = any(
        b'"shapes"' in head and (b'"imagePath"' in head or b'"points"' in head)
        for head in read_heads(folder, ".json")
    )
    return has_json or any(map(is_labelme_xml, read_heads(folder, ".xml")))


def read_folder(folder: Path, options: ReadOptions = DEFAULT_OPTIONS) -> Source:
    """Read a LabelMe dataset.

    Raises:
        UserError: No annotation has an image.
    """
    scores: list[float | None] = []
    read_files = {path: _read_json_file(path, scores) for path in list_files(folder, ".json")}
    read_files |= {path: read_xml_file(path, folder) for path in list_files(folder, ".xml")}
    entries = [entry for entry in read_files.values() if entry]
    others = [path for path, entry in read_files.items() if not entry]
    images = list_labeled_images(folder)
    remarks = describe_ignored_files(others, "no annotation of LabelMe")
    remarks += check_object_scores(scores, options.predictions, folder)
    source = assemble_source(
        folder, entries, MatchingOptions(ImageIndex(images), one_file_per_image=True), remarks
    )
    return read_boxes_as_stated(source, "corners", options.labels)


def decode_embedded_image(contents: bytes) -> bytes:
    """Return the encoded image that is embedded in a JSON file.

    Args:
        contents: The bytes of a file that holds an image.

    Raises:
        ValueError: The image is not valid base64.
    """
    return base64.b64decode(json.loads(contents)["imageData"], validate=True)


def _read_json_file(path: Path, scores: list[float | None]) -> ImageAnnotations | None:
    """Read one JSON file, and add the scores of its shapes; return None if it is another kind of JSON."""
    try:
        data = load_json(path)
    except UnreadableFileError as error:
        return ImageAnnotations(path, (path.stem,), fault=describe_unusable_annotation(path, error))
    if not isinstance(data, dict) or not isinstance(data.get("shapes"), list):
        return None
    stated = str(data.get("imagePath") or "")
    is_same_stem = PurePosixPath(stated.replace("\\", "/")).stem == path.stem
    objects, notes = _parse_objects(data)
    scores += [get_score(row) for row in data["shapes"] if isinstance(row, dict)]
    return ImageAnnotations(
        path,
        (stated, path.stem) if is_same_stem else (path.stem, stated),
        objects,
        notes,
        size=_image_size(data),
        load=decode_embedded_image if isinstance(data.get("imageData"), str) and data["imageData"] else None,
    )


def _image_size(data: Row) -> tuple[int, int] | None:
    width, height = data.get("imageWidth"), data.get("imageHeight")
    if isinstance(width, int) and isinstance(height, int) and min(width, height) > 0:
        return width, height
    return None


def _parse_objects(data: Row) -> tuple[tuple[AnnotatedObject, ...], tuple[AnnotationNote, ...]]:
    rows = [(f"shape {number}", row) for number, row in enumerate(data["shapes"], 1)]
    shapes, notes = collect_objects(rows, _parse_shape)
    groups = [row.get("group_id") if isinstance(row, dict) else None for _, row in rows]
    group_of = {mark: group for (mark, _), group in zip(rows, groups, strict=True)}
    objects, point_notes = _join_groups(shapes, group_of)
    flags = data.get("flags")
    is_set = [name for name, flag in flags.items() if flag is True] if isinstance(flags, dict) else []
    tags, tag_notes = collect_objects(
        [(f"flag {name!r}", name) for name in is_set], lambda name: (parse_class_name(name), TAG)
    )
    return (*objects, *tags), (*notes, *point_notes, *tag_notes)


def _parse_shape(row: Any) -> tuple[str, Shape]:
    if not isinstance(row, dict):
        raise ValueError("no shape")
    label = parse_class_name(row.get("label"))
    if label.strip() in _IGNORED_LABELS:
        raise ValueError(f"labelled {label}, which is no class")
    kind, points = row.get("shape_type") or "polygon", row.get("points")
    if not isinstance(points, list):
        raise ValueError("no points")
    return label, _build_shape(str(kind), points, row)


def _build_shape(kind: str, points: list[Any], row: Row) -> Shape:
    """Build the shape that the points of one type describe."""
    pairs = parse_points(points)
    if kind in _POINT_TYPES and len(pairs) == 1:
        visibility = 1 if row.get("difficult") is True else 2  # X-AnyLabeling marks hidden points so
        return Shape("pose", points={"": (pairs[0, 0], pairs[0, 1], visibility)})
    if kind == "rectangle" and len(pairs) in {2, 4}:  # two corners in any order, or all four
        return build_box([*pairs.min(axis=0), *pairs.max(axis=0)])
    if kind == "circle" and len(pairs) == 2:
        radius = float(np.hypot(*(pairs[1] - pairs[0])))
        return build_ellipse((pairs[0, 0], pairs[0, 1]), (radius, radius))
    if kind in {"rotation", "oriented_rectangle"}:
        return build_rotated_box(pairs)
    if kind == "mask" and len(pairs) == 2:
        return _trace_embedded_mask(row.get("mask"), pairs)
    if kind == "polygon":
        return build_outline(parse_ring(points))
    raise ValueError(f"a {kind} of {format_count(len(pairs), 'point')}, which has no area")


def _trace_embedded_mask(data: Any, corners: FloatArray) -> Shape:
    """Outline a mask: a PNG in base64 of the box between two corners."""
    try:
        png = base64.b64decode(data, validate=True)
    except (TypeError, ValueError):
        raise ValueError("a mask that is not in base64") from None
    left, top = corners.min(axis=0).round().astype(int)
    return trace_mask_outline(decode_object_mask(png), left=left, top=top)


def _join_groups(
    shapes: Sequence[AnnotatedObject], group_of: Mapping[str, Any]
) -> tuple[list[AnnotatedObject], list[AnnotationNote]]:
    """Join the shapes of each group: points with the object around them, and outlines of one class."""
    groups: dict[str, list[AnnotatedObject]] = defaultdict(list)
    for item in shapes:
        group = group_of[item.mark]
        groups[item.mark if group is None else f"group {group}"].append(item)
    found, notes = [], []
    for members in groups.values():
        points = [item for item in members if item.shape.kind == "pose"]
        others = list(_join_outlines([item for item in members if item.shape.kind != "pose"]))
        if points and len(others) == 1:
            pose, repeated = _build_pose(points, others[0])
            others = [pose]
            notes += repeated
        elif points:
            notes += [
                AnnotationNote(True, f"{item.mark}: a point, in no group with one object around it")
                for item in points
            ]
        found += others
    return found, notes


def _join_outlines(members: Sequence[AnnotatedObject]) -> Iterator[AnnotatedObject]:
    """Join the outlines of one group that have the same class to one object."""
    together: dict[tuple[str, str], list[AnnotatedObject]] = defaultdict(list)
    for item in members:
        kind = item.shape.kind
        together[kind, item.label if kind == "outline" else item.mark].append(item)
    for first, *others in together.values():
        parts = [part for item in (first, *others) for part in item.shape.parts]
        holes = sum(item.shape.holes for item in (first, *others))
        yield first._replace(shape=build_outline(*parts, holes=holes)) if others else first


def _build_pose(
    points: Sequence[AnnotatedObject], around: AnnotatedObject
) -> tuple[AnnotatedObject, list[AnnotationNote]]:
    """Give an object its keypoints; of two points with one name the second becomes a note."""
    first = {item.label: item for item in reversed(points)}
    notes = [
        AnnotationNote(True, f"{item.mark}: {describe_repeated_point(item.label)}", "malformed")
        for item in points
        if item is not first[item.label]
    ]
    keypoints = {item.label: item.shape.points[""] for item in points if item is first[item.label]}
    return around._replace(shape=build_pose(keypoints, build_box(around.shape.box))), notes
