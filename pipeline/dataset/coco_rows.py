"""Objects and detections as rows of COCO JSON, and back. Boxes are x, y, width, height; classes start at 1.

Coordinates are rounded to 0.01 pixels and scores to 0.00001. What has been rounded by `round_objects` and
`round_detections` is the same to the last bit after it was written and read.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np

from pipeline.core.arrays import FloatArray
from pipeline.core.detections import Detections, GroundTruth
from pipeline.core.geometry.masks import rasterize_outline
from pipeline.core.geometry.object_areas import compute_object_areas
from pipeline.core.geometry.run_lengths import decode_mask, encode_masks
from pipeline.core.tasks import Task

COORDINATE_DECIMALS: Final = 2
SCORE_DECIMALS: Final = 5
CORNERS: Final = "corners"
"""The key with the four corners of a rotated box, x1 y1 ... y4: COCO has no key for them."""
RING_KEYS: Final[dict[Task, str]] = {"segment": "outline", "obb": CORNERS}
"""The key with the outline of a true object, x1 y1 x2 y2 ..."""

Row = dict[str, Any]


def round_objects(truth: GroundTruth) -> GroundTruth:
    """Round the coordinates of true objects as the files have them."""
    return GroundTruth(
        _round(truth.boxes),
        truth.classes,
        tuple(_round(outline) for outline in truth.outlines),
        None if truth.keypoints is None else _round(truth.keypoints),
    )


def round_detections(found: Detections) -> Detections:
    """Round the coordinates and scores of detections as the files have them; masks are exact."""
    return found._replace(
        boxes=_round(found.boxes),
        scores=np.round(found.scores, SCORE_DECIMALS),
        outlines=tuple(_round(outline) for outline in found.outlines),
        keypoints=None if found.keypoints is None else _round_points(found.keypoints),
    )


def build_object_rows(truth: GroundTruth, task: Task, size: tuple[int, int]) -> Iterator[Row]:
    """Yield the annotations of an image of this width and height, without their ids.

    A mask is written as the pixels that `rasterize_outline` fills, and its outline beside it: other tools
    would fill other pixels at the edge.
    """
    rounded = round_objects(truth)
    masks = [rasterize_outline(outline, size) for outline in rounded.outlines] if task == "segment" else []
    counts = encode_masks(masks, size)
    areas = compute_object_areas(rounded, task).tolist()
    for index, box in enumerate(_to_xywh(rounded.boxes)):
        row: Row = {"category_id": int(rounded.classes[index]) + 1, "iscrowd": 0}
        row |= {"bbox": box, "area": areas[index]}
        if task == "segment":
            row["segmentation"] = {"size": [size[1], size[0]], "counts": counts[index]}
        if task in RING_KEYS:
            row[RING_KEYS[task]] = rounded.outlines[index].ravel().tolist()
        if rounded.keypoints is not None:
            points = rounded.keypoints[index]
            row |= {"keypoints": points.ravel().tolist(), "num_keypoints": int((points[:, 2] > 0).sum())}
        yield row


def build_detection_rows(found: Detections, task: Task, size: tuple[int, int]) -> list[Row]:
    """Return the results of an image of this width and height."""
    rounded = round_detections(found)
    columns: Row = {"category_id": (rounded.classes + 1).tolist(), "bbox": _to_xywh(rounded.boxes)}
    columns["score"] = rounded.scores.tolist()
    if task == "segment":
        masks = encode_masks(found.masks, size)
        columns["segmentation"] = [{"size": [size[1], size[0]], "counts": counts} for counts in masks]
    if task == "obb":
        columns[CORNERS] = [ring.ravel().tolist() for ring in rounded.outlines]
    if rounded.keypoints is not None:
        points = _append_confidence(rounded.keypoints)
        columns["keypoints"] = points.reshape(len(points), -1).tolist() if len(points) else []
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def parse_object_rows(rows: Sequence[Row], task: Task, points: int | None) -> GroundTruth:
    """Return the objects of an image.

    Args:
        rows: Its annotations.
        task: The task.
        points: Of a pose; None for other tasks.
    """
    outlines = [row[RING_KEYS[task]] for row in rows] if task in RING_KEYS else []
    return GroundTruth(
        _parse_boxes(rows),
        _parse_classes(rows),
        tuple(np.array(outline, np.float64).reshape(-1, 2) for outline in outlines),
        None if points is None else _parse_keypoints(rows, points),
    )


def parse_detection_rows(
    rows: Sequence[Row], task: Task, points: int | None, size: tuple[int, int]
) -> Detections:
    """Return the detections of an image of this width and height; of masks without outlines.

    Args:
        rows: Its results.
        task: The task.
        points: Of a pose; None for other tasks.
        size: Width and height of the image.
    """
    corners = [row[CORNERS] for row in rows] if task == "obb" else []
    masks = [row["segmentation"]["counts"] for row in rows] if task == "segment" else []
    return Detections(
        _parse_boxes(rows),
        np.array([row["score"] for row in rows], np.float64),
        _parse_classes(rows),
        tuple(np.array(each, np.float64).reshape(4, 2) for each in corners),
        None if points is None else _parse_keypoints(rows, points),
        tuple(decode_mask(counts, size) for counts in masks),
    )


def _parse_boxes(rows: Sequence[Row]) -> FloatArray:
    boxes = np.array([row["bbox"] for row in rows], np.float64).reshape(-1, 4)
    return np.concatenate([boxes[:, :2], _round(boxes[:, :2] + boxes[:, 2:])], axis=1)


def _parse_classes(rows: Sequence[Row]) -> np.ndarray[Any, np.dtype[np.int64]]:
    return np.array([row["category_id"] for row in rows], np.int64) - 1


def _parse_keypoints(rows: Sequence[Row], points: int) -> FloatArray:
    return np.array([row["keypoints"] for row in rows], np.float64).reshape(len(rows), points, 3)


def _round(values: FloatArray) -> FloatArray:
    rounded: FloatArray = np.round(values, COORDINATE_DECIMALS)
    return rounded + 0.0  # no -0.0


def _round_points(points: FloatArray) -> FloatArray:
    """Round x and y as coordinates, and the confidence as a score."""
    return np.concatenate([_round(points[..., :2]), np.round(points[..., 2:], SCORE_DECIMALS)], axis=-1)


def _append_confidence(points: FloatArray) -> FloatArray:
    """Return points (n, points, 3): those without a confidence get 1."""
    if points.shape[2] == 3:
        return points
    return np.concatenate([points, np.ones((*points.shape[:2], 1))], axis=2)


def _to_xywh(boxes: FloatArray) -> list[list[float]]:
    rows: list[list[float]] = np.hstack([boxes[:, :2], _round(boxes[:, 2:] - boxes[:, :2])]).tolist()
    return rows
