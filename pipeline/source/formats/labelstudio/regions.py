"""Parse Label Studio regions: shapes in percent of the image size, masks, keypoints, choices."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np

from pipeline.core.findings import AnnotationNote
from pipeline.source.formats.labelstudio.brush import decode_bitmask, decode_brush
from pipeline.source.reading.entries import collect_objects
from pipeline.source.reading.shapes import (
    TAG,
    AnnotatedObject,
    Keypoint,
    Shape,
    build_box,
    build_ellipse,
    build_object,
    build_outline,
    build_pose,
    describe_repeated_point,
    parse_class_name,
    parse_coordinate,
    parse_ring,
    remove_blanks,
    rotate_box,
)
from pipeline.source.reading.trace_mask import trace_mask_outline

Row = Mapping[str, Any]

_SHAPE_KEYS: Final = {"x", "points", "rle", "imageDataURL", "vertices"}
"""Keys of which a value has one, if it is a shape that is read."""


class LabelStudioRegion(NamedTuple):
    """The merged results of one id.

    Attributes:
        value: The shape and the labels.
        size: Width and height of the image in pixels; shapes are in percent of them.
        parent: The id of the parent region.
        place: What it is about: an image, or a text or an audio file of the same task (`to_name`).
    """

    value: Row
    size: tuple[Any, Any]
    parent: Any
    place: Any


def parse_regions(results: Sequence[Any]) -> tuple[tuple[AnnotatedObject, ...], tuple[AnnotationNote, ...]]:
    """Parse the results of one annotation; keypoints belong to their parent region."""
    merged = _merge_results([row for row in results if isinstance(row, dict)])
    points, point_notes = _collect_keypoints(merged)
    others = [(key, region) for key, region in merged.items() if "keypointlabels" not in region.value]
    images = list_drawn_on(results)
    rows = [
        (f"region {key}", (region, points.get(key, {})))
        for key, region in others
        if _has_shape(region) or (_region_labels(region.value) and _is_of_image(region, images))
    ]
    objects, notes = collect_objects(rows, lambda row: _parse_region(*row))
    tags = [
        build_object(tag, TAG, f"region {key}") for key, region in others for tag in _image_classes(region)
    ]
    non_regions = [
        AnnotationNote(True, f"result {number}: no region")
        for number, row in enumerate(results, 1)
        if not isinstance(row, dict)
    ]
    multiple_labels = [
        AnnotationNote(False, f"region {key}: {' and '.join(labels)}: the first is its class")
        for key, region in merged.items()
        if len(labels := _region_labels(region.value)) > 1
    ]
    curves = [
        AnnotationNote(False, f"region {key}: a vector with curves: read with straight lines")
        for key, region in others
        if _has_curves(region.value.get("vertices"))
    ]
    return (*objects, *tags), (*non_regions, *point_notes, *notes, *multiple_labels, *curves)


def find_rotation_fault(results: Sequence[Any]) -> str:
    """Return a fault if the image was rotated in Label Studio: its coordinates refer to that image."""
    rows = (row for row in results if isinstance(row, dict) and row.get("image_rotation"))
    row = next(rows, None)
    degrees = str(row["image_rotation"])[:20] if row else ""
    return f"annotated on the image turned by {degrees} degrees: turn it back first" if row else ""


def list_drawn_on(results: Sequence[Any]) -> set[str]:
    """List the image tags of the labeling interface that regions and choices are about (`to_name`)."""
    rows = (row for row in results if isinstance(row, dict) and "original_width" in row)
    return {name for row in rows if isinstance(name := row.get("to_name"), str)}


def find_image_size(results: Sequence[Any]) -> tuple[int, int] | None:
    """Return the first valid width and height in pixels that the results state."""
    for row in results:
        if isinstance(row, dict):
            width, height = row.get("original_width"), row.get("original_height")
            if isinstance(width, int) and isinstance(height, int) and min(width, height) > 0:
                return width, height
    return None


def _merge_results(rows: Sequence[Row]) -> dict[str, LabelStudioRegion]:
    """Merge the results of each id: a shape and its labels are separate if two control tags made them."""
    regions: dict[str, LabelStudioRegion] = {}
    for number, row in enumerate(rows, 1):
        value = row["value"] if isinstance(row.get("value"), dict) else {}
        identity = str(row.get("id") or number)[:40]
        earlier = regions[identity].value if identity in regions else {}
        size = (row.get("original_width"), row.get("original_height"))
        merged = {**earlier, **value}
        regions[identity] = LabelStudioRegion(merged, size, row.get("parentID"), row.get("to_name"))
    return regions


def _has_shape(region: LabelStudioRegion) -> bool:
    """Distinguish regions from choices, ratings and texts about the whole image."""
    return bool(_SHAPE_KEYS & region.value.keys())


def _is_of_image(region: LabelStudioRegion, images: Collection[str]) -> bool:
    """Check whether a region is in an image, unlike a span of a text or a segment of an audio file."""
    return region.size[0] is not None or (isinstance(region.place, str) and region.place in images)


def _image_classes(region: LabelStudioRegion) -> list[str]:
    """Return the classes chosen for the whole image."""
    choices = region.value.get("choices")
    if _has_shape(region) or not isinstance(choices, list):
        return []
    return [choice for choice in choices if isinstance(choice, str) and choice.strip()]


def _collect_keypoints(
    merged: Mapping[str, LabelStudioRegion],
) -> tuple[dict[str, dict[str, Keypoint]], list[AnnotationNote]]:
    """Collect the keypoints of each region by name; one without a region becomes a note."""
    points: dict[str, dict[str, Keypoint]] = defaultdict(dict)
    notes = []
    for key, region in merged.items():
        if "keypointlabels" not in region.value:
            continue
        try:
            if str(region.parent) not in merged:
                raise ValueError("a point of no other region")
            name = remove_blanks(_class_name(region.value))
            if name in points[str(region.parent)]:
                raise ValueError(describe_repeated_point(name))
            points[str(region.parent)][name] = _parse_keypoint(region)
        except ValueError as error:
            notes.append(AnnotationNote(True, f"region {key}: {error}", "malformed"))
    return points, notes


def _region_labels(value: Row) -> list[str]:
    """Return the labels of a region, whatever the tool: rectanglelabels, polygonlabels, labels, ..."""
    lists = [labels for key, labels in value.items() if key.endswith("labels") and isinstance(labels, list)]
    return [str(label) for label in next(filter(None, lists), [])]


def _class_name(value: Row) -> str:
    return parse_class_name(next(iter(_region_labels(value)), ""))


def _parse_region(region: LabelStudioRegion, points: Mapping[str, Keypoint]) -> tuple[str, Shape]:
    label, shape = _class_name(region.value), _build_shape(region)
    return label, build_pose(points, build_box(shape.box)) if points else shape


def _build_shape(region: LabelStudioRegion) -> Shape:
    value = region.value
    width, height = (parse_coordinate(side) for side in region.size)
    scale = np.array([width, height]) / 100
    if "rle" in value:
        return trace_mask_outline(decode_brush(value["rle"], int(width), int(height)))
    if "imageDataURL" in value:
        return trace_mask_outline(decode_bitmask(value["imageDataURL"], int(width), int(height)))
    if "points" in value:
        return build_outline(parse_ring(value["points"]) * scale)
    if "vertices" in value:
        return build_outline(parse_ring(_list_vertices(value)) * scale)
    if "x" not in value:
        raise ValueError(f"{', '.join(value)[:60]}: a region of a kind that is not read")
    x, y = parse_coordinate(value.get("x")) * scale[0], parse_coordinate(value.get("y")) * scale[1]
    degrees = parse_coordinate(value.get("rotation") or 0)
    if "radiusX" in value:
        radii = (
            parse_coordinate(value["radiusX"]) * scale[0],
            parse_coordinate(value.get("radiusY")) * scale[1],
        )
        return build_ellipse((x, y), radii, degrees=degrees)
    across = parse_coordinate(value.get("width")) * scale[0]
    down = parse_coordinate(value.get("height")) * scale[1]
    return rotate_box(build_box((x, y, x + across, y + down)), degrees, (x, y))  # around its top left corner


def _list_vertices(value: Row) -> list[list[Any]]:
    """Return the points of a closed vector, in percent of the image size.

    Raises:
        ValueError: It is open, branches, or is no list of points.
    """
    if value.get("closed") is not True:
        raise ValueError("an open vector, which has no area")
    vertices = value["vertices"]
    if not isinstance(vertices, list) or not all(isinstance(point, dict) for point in vertices):
        raise ValueError("a vector without points")
    for before, point in zip([*vertices[-1:], *vertices], vertices, strict=False):
        if point.get("prevPointId") not in (None, "", before.get("id")):
            raise ValueError("a vector that branches")
    return [[point.get("x"), point.get("y")] for point in vertices]


def _has_curves(vertices: Any) -> bool:
    rows = vertices if isinstance(vertices, list) else []
    return any(isinstance(row, dict) and row.get("isBezier") is True for row in rows)


def _parse_keypoint(region: LabelStudioRegion) -> Keypoint:
    width, height = (parse_coordinate(side) / 100 for side in region.size)
    return (
        parse_coordinate(region.value.get("x")) * width,
        parse_coordinate(region.value.get("y")) * height,
        2,
    )
