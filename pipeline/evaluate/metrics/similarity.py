"""Similarity of detections and objects by the task's measure: IoU of masks or rotated boxes, OKS of poses."""

from __future__ import annotations

import numpy as np

from pipeline.core.detections import Detections, GroundTruth
from pipeline.core.errors import UserError
from pipeline.core.geometry.masks import mask_iou, rasterize_outline
from pipeline.core.geometry.object_areas import compute_detection_areas
from pipeline.core.tasks import Task
from pipeline.evaluate.metrics.iou import rotated_box_iou
from pipeline.evaluate.metrics.oks import compute_oks


def attach_similarity(
    truth: GroundTruth, found: Detections, task: Task, *, size: tuple[int, int]
) -> Detections:
    """Return detections with their similarity to each object, and without their masks, which are large.

    Args:
        truth: The objects of the image.
        found: The detections in it, by descending score.
        task: Decides the measure: IoU of masks at the image's own size, as in COCO (segment), IoU of rotated
            boxes (obb), OKS (pose); for others nothing is added.
        size: Width and height of the image in pixels.

    Raises:
        UserError: The detected poses have another number of points than the labels.
    """
    if task == "segment":
        found = found._replace(areas=compute_detection_areas(found, task))
        overlap = mask_iou(found.masks, [rasterize_outline(outline, size) for outline in truth.outlines])
    elif task == "obb":
        here, there = (np.array(each.outlines).reshape(-1, 4, 2) for each in (found, truth))
        overlap = rotated_box_iou(here, there)
    elif truth.keypoints is not None and found.keypoints is not None:
        _require_same_point_count(found.keypoints.shape[1], truth.keypoints.shape[1])
        overlap = compute_oks(found.keypoints, truth.keypoints, truth.boxes)
    else:
        return found
    return found._replace(overlap=overlap, masks=())


def keep_boxes_only(truth: GroundTruth, found: Detections) -> tuple[GroundTruth, Detections]:
    """Return the same objects and detections with nothing but their upright boxes."""
    return GroundTruth(truth.boxes, truth.classes), Detections(found.boxes, found.scores, found.classes)


def _require_same_point_count(found: int, known: int) -> None:
    if found != known:
        raise UserError(f"the model's poses have {found} points, the data's {known}: run finetune again")
