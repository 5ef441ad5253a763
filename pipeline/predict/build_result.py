"""Turn what a model found in an image into the rows of the journal."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from pipeline.core.arrays import FloatArray
from pipeline.core.detections import Detections
from pipeline.core.geometry.object_areas import compute_detection_areas
from pipeline.core.tasks import Task
from pipeline.dataset.coco_rows import SCORE_DECIMALS, build_detection_rows
from pipeline.predict.journal import ImageResult, name_output
from pipeline.predict.read_frames import Frame
from pipeline.yolo.inference.masks import trace_outline

TOP_CLASSES: Final = 5
"""Classes of an image that are kept where the task is classify."""
OUTLINE: Final = "outline"
"""The key with the outline of the largest piece of a mask, x1 y1 x2 y2 ... in pixels."""


def build_result(frame: Frame, found: Detections | FloatArray, task: Task) -> ImageResult:
    """Return the result of an image or frame.

    Args:
        frame: The image; it could be read.
        found: Its detections; of classify its probabilities (classes,).
        task: Of the model.
    """
    assert frame.image is not None
    height, width = frame.image.shape[:2]
    output = name_output(frame.file, frame.number)
    if isinstance(found, Detections):
        rows = list(build_detection_rows(found, task, (width, height)))
        for row, area in zip(rows, compute_detection_areas(found, task).tolist(), strict=True):
            row["area"] = round(area, 2)
        for row, mask in zip(rows, found.masks, strict=False):
            row[OUTLINE] = np.round(trace_outline(mask), 2).ravel().tolist()
    else:
        rows = _rank_classes(found)
    return ImageResult(frame.name, frame.file.name, frame.number, output, (width, height), rows, frame.note)


def _rank_classes(probabilities: FloatArray) -> list[dict[str, Any]]:
    best = np.argsort(-probabilities, kind="stable")[:TOP_CLASSES].tolist()
    return [
        {"category_id": cls + 1, "score": round(float(probabilities[cls]), SCORE_DECIMALS)} for cls in best
    ]
