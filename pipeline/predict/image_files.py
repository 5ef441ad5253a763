"""Write the files of one image: its labels as YOLO text, and a picture of it with its objects."""

from __future__ import annotations

import errno
import hashlib
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.core.tasks import Task
from pipeline.dataset.coco_rows import CORNERS
from pipeline.predict.build_result import OUTLINE
from pipeline.predict.journal import ImageResult
from pipeline.storage.files import name_failed_path
from pipeline.visualize.label_overlay import OverlayOptions, draw_objects

LABELS_FOLDER: Final = "labels"
PICTURES_FOLDER: Final = "pictures"
MIN_SIDE: Final = 320
"""Pixels of the longer side of a picture: smaller images are enlarged."""
MAX_JPEG_SIDE: Final = 65_500
"""Pixels of a side that libjpeg writes."""
MIN_POINT_CONFIDENCE: Final = 0.5
"""Points of a pose with a lower one are drawn as rings, as hidden ones are."""
_DECIMALS: Final = 6
_SHOWN_CLASSES: Final = 5


def write_labels(folder: Path, result: ImageResult, task: Task, names: Sequence[str]) -> None:
    """Write the text file of an image; an empty one where nothing was found.

    The lines are those of Ultralytics: class x y w h (detect), class and outline (segment), class and four
    corners (obb), class x y w h and points with confidence (pose), as shares of width and height; of classify
    probability and name.
    """
    lines = list(_format_lines(result, task, names))
    _write_file(folder / f"{result.output}.txt", "".join(f"{line}\n" for line in lines).encode())


def write_picture(
    folder: Path, image: NDArray[np.uint8], result: ImageResult, task: Task, names: Sequence[str]
) -> None:
    """Write a picture of an image with its objects as JPEG, which has a largest side."""
    picture = draw_result(image, result, task, names, max_side=MAX_JPEG_SIDE)
    encoded = cv2.imencode(".jpg", picture)[1].tobytes()
    _write_file(folder / f"{result.output}.jpg", encoded)


def name_part(path: Path) -> Path:
    """Return where a file is written before it is whole: a name of its own that is never too long."""
    digest = hashlib.sha256(os.fsencode(path.name)).hexdigest()
    return path.with_name(f".{digest[:32]}.part{path.suffix}")


def remove_image_files(folder: Path, output: str) -> None:
    """Remove what an earlier run wrote of an image that is gone or changed, or of a frame of such a video.

    Args:
        folder: Of the prediction.
        output: See `ImageResult`.
    """
    for path in (folder / LABELS_FOLDER / f"{output}.txt", folder / PICTURES_FOLDER / f"{output}.jpg"):
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            if error.errno != errno.ENAMETOOLONG:  # of an earlier version, which could not write it either
                raise


def draw_result(
    image: NDArray[np.uint8],
    result: ImageResult,
    task: Task,
    names: Sequence[str],
    *,
    max_side: float = math.inf,
) -> NDArray[np.uint8]:
    """Return an image with what was found in it, at its own size.

    Args:
        image: (height, width, 3) BGR.
        result: What was found.
        task: Of the model.
        names: Class names by index.
        max_side: A longer side is scaled to so many pixels.
    """
    side = int(min(max(*image.shape[:2], MIN_SIDE), max_side))
    if task == "classify":
        return _draw_classes(image, result.rows, names, side)
    rows = result.rows[::-1]  # the best ones on top
    boxes = np.array([row["bbox"] for row in rows], np.float64).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    options: OverlayOptions = {"scores": np.array([row["score"] for row in rows]), "side": side}
    key = {"segment": OUTLINE, "obb": CORNERS}.get(task)
    if key:
        options["outlines"] = [np.array(row[key]).reshape(-1, 2) for row in rows]
    if task == "pose":
        options["keypoints"] = [_mark_visible(row["keypoints"]) for row in rows]
    return draw_objects(image, _get_classes(rows), boxes, names, **options)


def _draw_classes(
    image: NDArray[np.uint8], rows: Sequence[Mapping[str, Any]], names: Sequence[str], side: int
) -> NDArray[np.uint8]:
    """Draw the most probable class as a box around the image."""
    height, width = image.shape[:2]
    best = rows[:1]
    return draw_objects(
        image,
        _get_classes(best),
        np.array([[0, 0, width, height]] * len(best), np.float64),
        names,
        scores=np.array([row["score"] for row in best]),
        side=side,
    )


def _get_classes(rows: Sequence[Mapping[str, Any]]) -> NDArray[np.int64]:
    return np.array([row["category_id"] for row in rows], np.int64) - 1


def _mark_visible(points: Sequence[float]) -> NDArray[np.float64]:
    marked = np.array(points, np.float64).reshape(-1, 3)
    marked[:, 2] = np.where(marked[:, 2] >= MIN_POINT_CONFIDENCE, 2, 1)
    return marked


def _format_lines(result: ImageResult, task: Task, names: Sequence[str]) -> Iterator[str]:
    size = np.array(result.size, np.float64)
    for row in result.rows:
        cls = row["category_id"] - 1
        if task == "classify":
            yield f"{row['score']:.4f} {names[cls]}"
            continue
        if task in {"segment", "obb"}:
            ring = np.array(row[OUTLINE if task == "segment" else CORNERS]).reshape(-1, 2)
            values = (ring / size).ravel()
        else:
            x, y, width, height = row["bbox"]
            values = np.array([x + width / 2, y + height / 2, width, height]) / np.tile(size, 2)
        if task == "pose":
            points = np.array(row["keypoints"]).reshape(-1, 3)
            values = np.concatenate([values, (points / [*size, 1]).ravel()])
        yield " ".join([str(cls), *(f"{value:.{_DECIMALS}g}" for value in values.tolist())])


def _write_file(path: Path, content: bytes) -> None:
    """Write a file whole or not at all; its line in the journal says that it is complete."""
    part = name_part(path)
    try:
        _write_part(part, content)
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
        _write_part(part, content)
    os.replace(part, path)  # noqa: PTH105 - faster, for 100,000 images


def _write_part(part: Path, content: bytes) -> None:
    with name_failed_path(part), part.open("wb") as file:
        file.write(content)
