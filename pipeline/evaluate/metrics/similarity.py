"""What a task measures its detections by, where that is not their boxes: masks, rotated boxes, poses."""

from __future__ import annotations

import numpy as np

from pipeline.core.detections import Detections, GroundTruth
from pipeline.core.errors import UserError
from pipeline.core.geometry import masks
from pipeline.core.tasks import Task
from pipeline.evaluate.metrics import oks
from pipeline.evaluate.metrics.iou import rotated_box_iou


def weigh(truth: GroundTruth, found: Detections, task: Task, *, size: tuple[int, int]) -> Detections:
    """Return detections with how much each is like each object, and without their masks, which are large.

    Args:
        truth: The objects of the image.
        found: The detections in it, by descending score.
        task: What decides: the IoU of masks at the image's own size, as COCO has it (segment), the IoU of
            rotated boxes (obb), the similarity of poses (pose); for others nothing is added.
        size: Width and height of the image in pixels.

    Raises:
        Refused: The poses that were found have another number of points.
    """
    if task == "segment":
        overlap = masks.overlaps(found.masks, [masks.fill(outline, size) for outline in truth.outlines])
    elif task == "obb":
        here, there = (np.array(each.outlines).reshape(-1, 4, 2) for each in (found, truth))
        overlap = rotated_box_iou(here, there)
    elif truth.keypoints is not None and found.keypoints is not None:
        _refuse_misfit(found.keypoints.shape[1], truth.keypoints.shape[1])
        overlap = oks.similarities(found.keypoints, truth.keypoints, truth.boxes)
    else:
        return found
    return found._replace(overlap=overlap, masks=())


def by_boxes(truth: GroundTruth, found: Detections) -> tuple[GroundTruth, Detections]:
    """Return the same objects and detections, to be measured by their upright boxes."""
    return GroundTruth(truth.boxes, truth.classes), Detections(found.boxes, found.scores, found.classes)


def _refuse_misfit(found: int, known: int) -> None:
    if found != known:
        raise UserError(f"the model's poses have {found} points, the data's {known}: run finetune again")
