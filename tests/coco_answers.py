"""COCO's average precision, as faster-coco-eval computes it: the reference for this project's own."""

import logging

import numpy as np
from faster_coco_eval import COCO, COCOeval_faster

from pipeline.core.matching import IOUS


def average_precisions(truth, found, classes):
    """Return the average precision (classes, 10) of at most 300 detections an image; -1 without objects."""
    logging.getLogger("faster_coco_eval").setLevel(logging.ERROR)
    known = COCO(
        {"images": images_of(truth), "annotations": annotations(truth), "categories": categories(classes)}
    )
    results = [
        {"image_id": image, "category_id": int(cls) + 1, "bbox": xywh(box), "score": float(score)}
        for image, seen in enumerate(found, 1)
        for box, score, cls in zip(*seen, strict=True)
    ]
    if not results:
        return np.array(
            [[0.0 if any(cls in t.classes for t in truth) else -1.0] * len(IOUS) for cls in range(classes)]
        )
    run = COCOeval_faster(known, known.loadRes(results), "bbox", print_function=lambda *_: None)
    run.params.maxDets = [1, 10, 300]
    run.evaluate()
    run.accumulate()
    precision = run.eval["precision"][:, :, :, 0, -1]
    return precision.mean(axis=1).T


def images_of(truth):
    return [{"id": image, "width": 100, "height": 100} for image in range(1, len(truth) + 1)]


def categories(classes):
    return [{"id": cls + 1, "name": str(cls)} for cls in range(classes)]


def annotations(truth):
    rows = [(image, box, cls) for image, t in enumerate(truth, 1) for box, cls in zip(*t, strict=True)]
    return [
        {"id": number, "image_id": image, "category_id": int(cls) + 1, "bbox": xywh(box), "iscrowd": 0}
        | {"area": float((box[2] - box[0]) * (box[3] - box[1]))}
        for number, (image, box, cls) in enumerate(rows, 1)
    ]


def xywh(box):
    return [float(box[0]), float(box[1]), float(box[2] - box[0]), float(box[3] - box[1])]
