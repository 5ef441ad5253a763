"""The head of files with predictions: the task, categories and images of COCO JSON, with further keys."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, Final, NamedTuple

from pipeline.core.tasks import TASKS, Keypoints, Task
from pipeline.dataset.stored_predictions import PredictedImage

FORMAT: Final = 1
"""The version of the files."""


class PredictionHead(NamedTuple):
    """What the predictions of a split are of.

    Attributes:
        task: The task.
        names: Class names by index.
        data: Digest of the prepared dataset.
        weights: SHA-256 of the weights.
        keypoints: The points of a pose; None for other tasks.
    """

    task: Task
    names: tuple[str, ...]
    data: str
    weights: str
    keypoints: Keypoints | None = None


def render_head(head: PredictionHead, images: Iterable[PredictedImage], **further: str) -> str:
    """Return what predictions are of, categories and images, as JSON without the brackets around.

    Args:
        head: What they are of.
        images: The images.
        **further: More of what they are of.
    """
    info = {"description": "finetrack predictions", "format": FORMAT, "task": head.task}
    info |= {"data": head.data, "weights": head.weights, **further}
    first = dump_compact({"info": info, "categories": _build_categories(head)})[1:-1]
    rows = ",\n".join(dump_compact(_build_image_row(image)) for image in images)
    return f'{first},\n"images":[\n{rows}\n]'


def parse_head(raw: Any) -> tuple[PredictionHead, tuple[PredictedImage, ...]]:
    """Parse what `render_head` wrote.

    Raises:
        ValueError, KeyError, TypeError: It is of another version, or something else.
    """
    info, categories = raw["info"], raw["categories"]
    if info["format"] != FORMAT or info["task"] not in TASKS:
        raise ValueError(f"format {info['format']}, task {info['task']}")
    points = categories[0] if info["task"] == "pose" else None
    keypoints = (
        Keypoints(tuple(points["keypoints"]), tuple(points["flip"]), points["dims"]) if points else None
    )
    names = tuple(category["name"] for category in categories)
    images = tuple(_parse_image_row(row) for row in raw["images"])
    if [image.id for image in images] != list(range(1, len(images) + 1)):
        raise ValueError("the images are not numbered from 1")
    return PredictionHead(info["task"], names, info["data"], info["weights"], keypoints), images


def _parse_image_row(row: dict[str, Any]) -> PredictedImage:
    values = {**row, "file": row["file_name"], "slices": tuple(row["slices"])}
    del values["file_name"]
    return PredictedImage(**values)


def dump_compact(values: Any) -> str:
    """Write JSON without spaces."""
    return json.dumps(values, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def _build_categories(head: PredictionHead) -> list[dict[str, Any]]:
    points = head.keypoints
    added: dict[str, Any] = {}
    if points:
        added = {"keypoints": points.names, "skeleton": [], "flip": points.flip, "dims": points.dims}
    return [{"id": cls, "name": name, **added} for cls, name in enumerate(head.names, 1)]


def _build_image_row(image: PredictedImage) -> dict[str, Any]:
    row = image._asdict() | {"file_name": image.file}
    del row["file"]
    return {key: value for key, value in row.items() if value is not None}
