"""Find out what the four numbers of `bbox` mean in a COCO file: x y width height, or something else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, TypeGuard

import numpy as np

from pipeline.core.arrays import BoolArray, FloatArray
from pipeline.core.errors import UserError
from pipeline.source.formats.coco.categories import normalize_id
from pipeline.source.formats.coco.shapes import is_coordinate, parse_bbox
from pipeline.source.plausibility.box_meaning import (
    MAX_DOUBTFUL_SHARE,
    MIN_DOUBTFUL_BOXES,
    are_share_corners,
    refuse_large_shares,
)
from pipeline.source.plausibility.image_sizes import choose_evenly

CocoRow = dict[str, Any]

_MAX_CHECKED_ROWS: Final = 2000
_MIN_EXPLAINED: Final = 0.8
_MAX_AREA: Final = 1e18
_MIN_IMAGE_SIDE: Final = 16
_OVERHANG: Final = 1.1
"""How far a part of an object may reach, if the end of the image is 1."""


def interpret_boxes(files: Sequence[Mapping[str, Any]], policy: str) -> tuple[str, ...]:
    """Convert boxes in corners or in shares to x y width height in pixels; return remarks.

    Args:
        files: The parsed files; their annotations are changed.
        policy: As in data.labels; auto: shares are recognized, and corners are refused.

    Raises:
        UserError: The outlines or areas show that the boxes are corners.
    """
    rows = [row for file in files for row in file["annotations"]]
    some = [row for row in choose_evenly(rows, _MAX_CHECKED_ROWS) if parse_bbox(row)]
    if policy == "auto":
        _refuse_corners(some)
    if policy in {"corners", "pixel_corners"}:
        for row in filter(parse_bbox, rows):
            x1, y1, x2, y2 = row["bbox"]
            row["bbox"] = [x1, y1, x2 - x1, y2 - y1]
    in_shares = policy in {"shares", "corners", "percent"} or (policy == "auto" and _are_shares(some))
    if not in_shares:
        return ()
    unit = 0.01 if policy == "percent" else 1.0
    _check_shares(np.array([row["bbox"] for row in some], np.float64).reshape(-1, 4) * unit, policy)
    for file in files:
        _scale_file(file, unit)
    reason = f"data.labels={policy}" if policy != "auto" else "all are between 0 and 1"
    name = "percent" if policy == "percent" else "shares"
    return (f"coordinates are {name} of the image size, not pixels: {reason}",)


def _are_shares(rows: Sequence[CocoRow]) -> bool:
    """Check whether all boxes are between 0 and 1, and are not just single pixels."""
    if len(rows) < MIN_DOUBTFUL_BOXES or max(rows[0]["bbox"]) > 1:
        return False
    numbers = np.array([row["bbox"] for row in rows], np.float64)
    return bool((numbers >= 0).all() and (numbers <= 1).all() and (numbers % 1 != 0).any(axis=1).all())


def _check_shares(boxes: FloatArray, policy: str) -> None:
    """Refuse shares that are corners, and numbers that are said to be shares.

    Raises:
        UserError: They look like other numbers.
    """
    if policy != "auto":
        refuse_large_shares(boxes, policy)
    elif are_share_corners(boxes, "extent"):
        raise UserError(
            "the boxes are between 0 and 1, and go beyond the image as x y width height: they look like "
            "x1 y1 x2 y2 in shares of the image size; set data.labels=corners (if they are right, set "
            "data.labels=shares)"
        )


def _scale_file(file: Mapping[str, Any], unit: float) -> None:
    """Multiply the coordinates of each annotation with the stated size of its image.

    Raises:
        UserError: An image with annotations states no size.
    """
    sizes = {normalize_id(row.get("id")): (row.get("width"), row.get("height")) for row in file["images"]}
    for row in file["annotations"]:
        size = sizes.get(normalize_id(row.get("image_id")))
        if size is None:  # an annotation of no image is reported later
            continue
        if not all(isinstance(side, int | float) and side > 0 for side in size):
            raise UserError(
                "the boxes are shares of the image size, but the COCO file states no width and height of the "
                f"image with the id {str(row.get('image_id'))[:40]}: add them"
            )
        if min(size) > _MIN_IMAGE_SIDE:
            _scale_row(row, np.array(size, np.float64) * unit, 1 / unit)


def _scale_row(row: CocoRow, size: FloatArray, largest: float) -> None:
    if parse_bbox(row):
        row["bbox"] = (np.array(row["bbox"]) * np.tile(size, 2)).tolist()
    rings = row.get("segmentation")
    if isinstance(rings, list) and all(_is_ring(ring, largest) for ring in rings):
        row["segmentation"] = [(np.reshape(ring, (-1, 2)) * size).ravel().tolist() for ring in rings]
    points = row.get("keypoints")
    if isinstance(points, list) and len(points) % 3 == 0 and all(map(is_coordinate, points)):
        found = np.reshape(points, (-1, 3)).astype(np.float64)
        if (np.abs(found[:, :2]) <= largest * _OVERHANG).all():
            row["keypoints"] = (found * (*size, 1)).ravel().tolist()


def _is_ring(ring: object, largest: float) -> bool:
    """Check for a list of pairs of numbers up to the largest one, or a little beyond the image."""
    return (
        isinstance(ring, list)
        and len(ring) % 2 == 0
        and all(isinstance(value, int | float) and abs(value) <= largest * _OVERHANG for value in ring)
    )


def _refuse_corners(rows: Sequence[CocoRow]) -> None:
    for what, (contradict, explained) in (
        ("outlines", _compare_outlines(rows)),
        ("areas", _compare_areas(rows)),
    ):
        found = int(contradict.sum())
        if found < MIN_DOUBTFUL_BOXES or found <= MAX_DOUBTFUL_SHARE * len(contradict):
            continue
        if explained[contradict].mean() >= _MIN_EXPLAINED:
            raise UserError(
                f"the {what} of {found} of {len(contradict)} objects show that bbox holds x1 y1 x2 y2, not "
                "x y width height: set data.labels=pixel_corners to read it so, or correct the file"
            )
    _refuse_foreign_outlines(rows)
    _refuse_foreign_keypoints(rows)


def _refuse_foreign_outlines(rows: Sequence[CocoRow]) -> None:
    """Refuse outlines that lie outside of their boxes: in shares, or with x and y exchanged."""
    pairs = [(row["bbox"], extent) for row in rows if (extent := _measure_outline(row)) is not None]
    boxes = np.array([box for box, _ in pairs], np.float64).reshape(-1, 4)
    extents = np.array([extent for _, extent in pairs], np.float64).reshape(-1, 4)
    reach = boxes[:, 2:] / 2 + 2
    centers, middles = boxes[:, :2] + boxes[:, 2:] / 2, (extents[:, :2] + extents[:, 2:]) / 2
    apart = np.asarray((np.abs(centers - middles) > reach).any(axis=1))
    found = int(apart.sum())
    if found >= MIN_DOUBTFUL_BOXES and found > MAX_DOUBTFUL_SHARE * len(apart):
        example = extents[int(np.argmax(apart))]
        in_shares = " (they look like shares of the image size)" if (extents[apart] <= 1).all() else ""
        raise UserError(
            f"the outlines of {found} of {len(apart)} objects lie outside of their bbox, such as "
            f"{' '.join(f'{value:.6g}' for value in example)}{in_shares}: correct the segmentation, or "
            "remove it; data.labels=pixels reads the file as it is"
        )


def _refuse_foreign_keypoints(rows: Sequence[CocoRow]) -> None:
    """Refuse keypoints in shares of the image beside boxes in pixels."""
    pairs = [(row["bbox"], points) for row in rows if (points := _list_labelled_points(row)) is not None]
    if len(pairs) < MIN_DOUBTFUL_BOXES:
        return
    points = np.concatenate([points for _, points in pairs])
    sides = np.array([box[2:] for box, _ in pairs], np.float64)
    if ((points >= 0) & (points <= 1)).all() and (points % 1 != 0).any() and np.median(sides) > 2:
        raise UserError(
            f"the keypoints of all {len(pairs)} checked objects lie between 0 and 1, such as "
            f"{points[0, 0]:.6g} {points[0, 1]:.6g}, and their boxes are in pixels: they look like shares of "
            "the image size; multiply them by it, or remove them; data.labels=pixels reads the file as is"
        )


def _list_labelled_points(row: CocoRow) -> FloatArray | None:
    """Return x and y (n, 2) of the labelled keypoints of an annotation; None if there are none."""
    points = row.get("keypoints")
    if not isinstance(points, list) or len(points) % 3 or not all(map(is_coordinate, points)):
        return None
    found = np.reshape(points, (-1, 3)).astype(np.float64)
    labelled = found[found[:, 2] > 0, :2]
    return labelled if len(labelled) else None


def _compare_outlines(rows: Sequence[CocoRow]) -> tuple[BoolArray, BoolArray]:
    """Check which boxes do not fit their outlines, and which would fit them as corners."""
    pairs = [(row["bbox"], extent) for row in rows if (extent := _measure_outline(row)) is not None]
    boxes = np.array([box for box, _ in pairs], np.float64).reshape(-1, 4)
    extents = np.array([extent for _, extent in pairs], np.float64).reshape(-1, 4)
    slack = 2 + 0.1 * (extents[:, 2:] - extents[:, :2]).max(axis=1, initial=0)
    read = np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)
    return (
        (np.abs(read - extents) > slack[:, None]).any(axis=1),
        (np.abs(boxes - extents) <= slack[:, None]).all(axis=1),
    )


def _measure_outline(row: CocoRow) -> FloatArray | None:
    """Return x1 y1 x2 y2 around the polygons of an annotation."""
    rings = row.get("segmentation")
    values = [*_iterate_numbers(rings)] if isinstance(rings, list) else []
    if len(values) < 6 or len(values) % 2:
        return None
    points = np.array(values, np.float64).reshape(-1, 2)
    return np.concatenate([points.min(axis=0), points.max(axis=0)])


def _is_area(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and 0 < value < _MAX_AREA


def _iterate_numbers(rings: Sequence[Any]) -> Iterator[float]:
    for ring in rings:
        for value in ring if isinstance(ring, list) else [ring]:
            if is_coordinate(value):
                yield value


def _compare_areas(rows: Sequence[CocoRow]) -> tuple[BoolArray, BoolArray]:
    """Check which areas are not width times height, and which are those of boxes given by corners."""
    stated = [(*row["bbox"], area) for row in rows if _is_area(area := row.get("area"))]
    a, b, c, d, areas = np.array(stated, np.float64).reshape(-1, 5).T
    with np.errstate(over="ignore", invalid="ignore"):
        differ = np.abs(areas - c * d) > 1 + 0.02 * np.abs(areas)
        fit = (c > a) & (d > b) & (np.abs(areas - (c - a) * (d - b)) <= 1 + 0.02 * np.abs(areas))
    return differ, fit
