"""Average precision of COCO, computed by faster-coco-eval: the reference for this project's metrics."""

import logging

import numpy as np
from faster_coco_eval import COCO, COCOeval_faster
from faster_coco_eval.core import mask as rle

from pipeline.evaluate.metrics.matching import IOU_THRESHOLDS


def compute_average_precision(truth, found, classes, *, kind="bbox", sizes=None):
    """Compute the average precision (classes, 10) with at most 300 detections per image; -1 without objects.

    Args:
        truth: Objects of each image.
        found: Detections of each image; with masks if `kind` is segm.
        classes: Number of classes.
        kind: bbox, segm or keypoints.
        sizes: Width and height of each image; 100 pixels if None.
    """
    logging.getLogger("faster_coco_eval").setLevel(logging.ERROR)
    sizes = sizes or [(100, 100)] * len(truth)
    images = [{"id": number, "width": w, "height": h} for number, (w, h) in enumerate(sizes, 1)]
    rows = build_annotations(truth, kind)
    known = COCO({"images": images, "annotations": rows, "categories": build_categories(classes)})
    results = build_detections(found, kind, sizes)
    if not results:
        return np.array(
            [
                [0.0 if any(cls in t.classes for t in truth) else -1.0] * len(IOU_THRESHOLDS)
                for cls in range(classes)
            ]
        )
    run = COCOeval_faster(known, known.loadRes(results), kind, print_function=lambda *_: None)
    run.params.maxDets = [300] if kind == "keypoints" else [1, 10, 300]
    run.evaluate()
    run.accumulate()
    precision = run.eval["precision"][:, :, :, 0, -1]
    return precision.mean(axis=1).T


def build_categories(classes):
    return [{"id": cls + 1, "name": str(cls)} for cls in range(classes)]


def build_annotations(truth, kind):
    rows = []
    for image, objects in enumerate(truth, 1):
        for index, (box, cls) in enumerate(zip(objects.boxes, objects.classes, strict=True)):
            row = {"id": len(rows) + 1, "image_id": image, "category_id": int(cls) + 1, "iscrowd": 0}
            area = float((box[2] - box[0]) * (box[3] - box[1]))
            row |= {"bbox": xyxy_to_xywh(box), "area": area}
            if kind == "segm":
                row["segmentation"] = [objects.outlines[index].ravel().tolist()]
            if kind == "keypoints":
                points = objects.keypoints[index]
                row |= {"keypoints": points.ravel().tolist(), "num_keypoints": int((points[:, 2] > 0).sum())}
                row["area"] = 0.53 * area  # as Ultralytics does: its labels have no area
            rows.append(row)
    return rows


def build_detections(found, kind, sizes):
    rows = []
    for image, (seen, size) in enumerate(zip(found, sizes, strict=True), 1):
        for index, (box, score, cls) in enumerate(zip(seen.boxes, seen.scores, seen.classes, strict=True)):
            row = {"image_id": image, "category_id": int(cls) + 1, "score": float(score)}
            if kind == "bbox":
                row["bbox"] = xyxy_to_xywh(box)
            if kind == "segm":
                row["segmentation"] = encode_mask(seen.masks[index], size)
            if kind == "keypoints":
                points = np.column_stack([seen.keypoints[index][:, :2], np.ones(seen.keypoints.shape[1])])
                row["keypoints"] = points.ravel().tolist()
            rows.append(row)
    return rows


def encode_mask(mask, size):
    whole = np.zeros(size[::-1], np.uint8)
    height, width = mask.pixels.shape
    whole[mask.top : mask.top + height, mask.left : mask.left + width] = mask.pixels
    return rle.encode(np.asfortranarray(whole))


def xyxy_to_xywh(box):
    return [float(box[0]), float(box[1]), float(box[2] - box[0]), float(box[3] - box[1])]


def compute_summary(truth, found, classes, *, kind="bbox", sizes=None):
    """Compute COCO's summary: APs, APm, APl over IoU 0.50 to 0.95, and AR1, AR10, AR100; -1 without objects.

    Args:
        truth: Objects of each image.
        found: Detections of each image; with masks if `kind` is segm.
        classes: Number of classes.
        kind: bbox or segm.
        sizes: Width and height of each image; 100 pixels if None.
    """
    logging.getLogger("faster_coco_eval").setLevel(logging.ERROR)
    sizes = sizes or [(100, 100)] * len(truth)
    images = [{"id": number, "width": w, "height": h} for number, (w, h) in enumerate(sizes, 1)]
    rows = build_annotations(truth, kind)
    known = COCO({"images": images, "annotations": rows, "categories": build_categories(classes)})
    run = COCOeval_faster(
        known, known.loadRes(build_detections(found, kind, sizes)), kind, print_function=lambda *_: None
    )
    run.params.maxDets = [1, 10, 100]
    run.evaluate()
    run.accumulate()
    precision, recall = run.eval["precision"], run.eval["recall"]
    names = run.params.areaRngLbl
    sized = {name: _mean(precision[..., names.index(name), -1]) for name in ("small", "medium", "large")}
    return sized | {f"AR{most}": _mean(recall[..., 0, place]) for place, most in enumerate((1, 10, 100))}


def _mean(values):
    return float(values[values > -1].mean()) if (values > -1).any() else -1.0
