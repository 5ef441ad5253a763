"""The regions of Label Studio: shapes in per cent of the image, brush strokes, points and choices."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from pipeline.core.findings import AnnotationNote
from pipeline.source.formats.labelstudio.brush import decode
from pipeline.source.reading import shapes
from pipeline.source.reading.entries import collect
from pipeline.source.reading.shapes import TAG, AnnotatedObject, Keypoint, Shape
from pipeline.source.reading.trace_mask import trace

Row = Mapping[str, Any]


class LabelStudioRegion(NamedTuple):
    """One result, after those of one id were put together.

    Attributes:
        value: Its shape and labels.
        size: Width and height of the image, which shares are of.
        parent: The id of the region that it belongs to.
    """

    value: Row
    size: tuple[Any, Any]
    parent: Any


def regions(results: Sequence[Any]) -> tuple[tuple[AnnotatedObject, ...], tuple[AnnotationNote, ...]]:
    """Draw the results of one annotation; points belong to the region that they name as their parent."""
    merged = _merged([row for row in results if isinstance(row, dict)])
    points, lone = _points(merged)
    others = [(key, region) for key, region in merged.items() if "keypointlabels" not in region.value]
    rows = [(f"region {key}", (region, points.get(key, {}))) for key, region in others if _drawn(region)]
    found, faults = collect(rows, lambda row: _draw(*row))
    tags = [AnnotatedObject(tag, TAG, f"region {key}") for key, region in others for tag in _choices(region)]
    strays = [
        AnnotationNote(True, f"result {n}: no region")
        for n, row in enumerate(results, 1)
        if not isinstance(row, dict)
    ]
    several = [
        AnnotationNote(False, f"region {key}: {' and '.join(labels)}: the first is its class")
        for key, region in merged.items()
        if len(labels := _labels(region.value)) > 1
    ]
    return (*found, *tags), (*strays, *lone, *faults, *several)


def turned(results: Sequence[Any]) -> str:
    """Say why an annotation cannot be used whose shares are of the image as it was turned meanwhile."""
    rows = (row for row in results if isinstance(row, dict) and row.get("image_rotation"))
    row = next(rows, None)
    degrees = str(row["image_rotation"])[:20] if row else ""
    return f"annotated on the image turned by {degrees} degrees: turn it back first" if row else ""


def size(results: Sequence[Any]) -> tuple[int, int] | None:
    """Return the width and height that the results state."""
    for row in results:
        if isinstance(row, dict):
            width, height = row.get("original_width"), row.get("original_height")
            if isinstance(width, int) and isinstance(height, int) and min(width, height) > 0:
                return width, height
    return None


def _merged(rows: Sequence[Row]) -> dict[str, LabelStudioRegion]:
    """Put results of one id together: a shape and its labels are apart where two tags made them."""
    found: dict[str, LabelStudioRegion] = {}
    for number, row in enumerate(rows, 1):
        value = row["value"] if isinstance(row.get("value"), dict) else {}
        identity = str(row.get("id") or number)[:40]
        before = found[identity].value if identity in found else {}
        extent = (row.get("original_width"), row.get("original_height"))
        found[identity] = LabelStudioRegion({**before, **value}, extent, row.get("parentID"))
    return found


def _drawn(region: LabelStudioRegion) -> bool:
    """Tell regions from choices, ratings and texts about the whole image."""
    return bool({"x", "points", "rle"} & region.value.keys())


def _choices(region: LabelStudioRegion) -> list[str]:
    """Return the classes chosen for the whole image."""
    choices = region.value.get("choices")
    if _drawn(region) or not isinstance(choices, list):
        return []
    named = (" ".join(choice.split()) for choice in choices if isinstance(choice, str))
    return [name for name in named if name]


def _points(
    merged: Mapping[str, LabelStudioRegion],
) -> tuple[dict[str, dict[str, Keypoint]], list[AnnotationNote]]:
    """Collect the points of each region, by their names; one of no region becomes a finding."""
    points: dict[str, dict[str, Keypoint]] = defaultdict(dict)
    lone = []
    for key, region in merged.items():
        if "keypointlabels" not in region.value:
            continue
        try:
            if str(region.parent) not in merged:
                raise ValueError("a point of no other region")
            points[str(region.parent)][_label(region.value)] = _point(region)
        except ValueError as error:
            lone.append(AnnotationNote(True, f"region {key}: {error}", "malformed"))
    return points, lone


def _labels(value: Row) -> list[str]:
    """Return what a region is called, whatever tool drew it: rectanglelabels, polygonlabels, labels, ..."""
    named = [labels for key, labels in value.items() if key.endswith("labels") and isinstance(labels, list)]
    return [str(label) for label in next(filter(None, named), [])]


def _label(value: Row) -> str:
    return shapes.named(next(iter(_labels(value)), ""))


def _draw(region: LabelStudioRegion, points: Mapping[str, Keypoint]) -> tuple[str, Shape]:
    label, shape = _label(region.value), _shape(region)
    return label, shapes.pose(points, shapes.box(shape.box)) if points else shape


def _shape(region: LabelStudioRegion) -> Shape:
    value = region.value
    width, height = (shapes.number(side) for side in region.size)
    share = np.array([width, height]) / 100
    if "rle" in value:
        return trace(decode(value["rle"], int(width), int(height)))
    if "points" in value:
        return shapes.outline(shapes.ring(value["points"]) * share)
    x, y = shapes.number(value.get("x")) * share[0], shapes.number(value.get("y")) * share[1]
    turn = shapes.number(value.get("rotation") or 0)
    if "radiusX" in value:
        radii = shapes.number(value["radiusX"]) * share[0], shapes.number(value.get("radiusY")) * share[1]
        return shapes.ellipse((x, y), radii, degrees=turn)
    across = shapes.number(value.get("width")) * share[0]
    down = shapes.number(value.get("height")) * share[1]
    return shapes.turned(
        shapes.box((x, y, x + across, y + down)), turn, (x, y)
    )  # about its upper left corner


def _point(region: LabelStudioRegion) -> Keypoint:
    width, height = (shapes.number(side) / 100 for side in region.size)
    return shapes.number(region.value.get("x")) * width, shapes.number(region.value.get("y")) * height, 2
