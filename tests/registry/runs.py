"""Runs with stored predictions, as a training and its evaluation log them; the weights are not loaded."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
from PIL import Image

from pipeline.core.detections import Detections, GroundTruth
from pipeline.dataset.coco_results import write_stored_predictions
from pipeline.dataset.stored_predictions import PredictedImage, StoredPredictions
from pipeline.tracking.runs import attach_run, open_run

NAMES = ("pit", "stain")
TAGS = {
    "finetrack.task": "detect",
    "finetrack.data.digest": "d" * 64,
    "finetrack.git.commit": "c" * 40,
    "finetrack.git.dirty": False,
}
SETTINGS = {"conf": 0.001, "iou": 0.7, "max_det": 300, "tile": None, "overlap": 0.2}


def predict(share, *, images=60, stain=None, labels="labels", seed=1):
    """Predict on drawn images: each object is found with probability `share`, of stains with `stain`."""
    draw, found_with = np.random.default_rng(0), np.random.default_rng(seed)
    described, truths, detections = [], [], []
    for number in range(images):
        classes = np.array([0, 1])
        corner = draw.uniform(0, 60, (2, 2))
        boxes = np.hstack([corner, corner + draw.uniform(20, 40, (2, 2))]).round(2)
        shares = np.array([share, share if stain is None else stain])
        kept = found_with.random(2) < shares
        shifted = (boxes + found_with.normal(0, 1, (2, 4))).round(2)
        digests = [hashlib.sha256(f"{what}{number}".encode()).hexdigest() for what in ("image", labels)]
        file = f"test/{number:03d}.png"
        described.append(PredictedImage(number + 1, file, *digests, 128, 128, file, file))
        truths.append(GroundTruth(boxes, classes))
        detections.append(Detections(shifted[kept], np.full(kept.sum(), 0.9), classes[kept]))
    return StoredPredictions("detect", NAMES, "d" * 64, "w" * 64, tuple(described), truths, detections)


def log_run(target, key, predictions, *, tags=TAGS, settings=SETTINGS, weights=None, names=NAMES):
    """Log a training and its evaluation; return the run's id."""
    Path("best.pt").write_bytes(weights or key.encode())
    Image.new("RGB", (32, 32)).save("part.png")
    with open_run(target, key=key, name=f"run {key}", tags=tags) as session:
        session.log_params({"evaluate": settings, "finetune": {"imgsz": 64}})
        session.log_dataset("+".join(names), "d" * 64, source="data/prepared", classes=names, splits={})
        session.log_model(Path("best.pt"), example=Path("part.png"), metrics={}, imgsz=64)
    folder = Path(f"{key}/evaluation")
    if predictions is not None:
        write_stored_predictions(folder / "predictions", "test", predictions)
    with attach_run(target, key=key, run_id=session.run_id) as evaluation:
        evaluation.log_metrics({"test/mAP50-95": 0.5})
        evaluation.set_model_defaults({"conf": 0.4, "imgsz": 64})
        if predictions is not None:
            evaluation.log_artifact(folder)
    return str(session.run_id)
