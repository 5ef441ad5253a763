"""The served model finds on tiles what `finetrack predict` finds, with code of its own."""

from __future__ import annotations

import sys
import warnings

import numpy as np
import pytest
import torch
from ultralytics import YOLO
from ultralytics.nn.tasks import ClassificationModel, DetectionModel, OBBModel, PoseModel, SegmentationModel

from pipeline.tracking.logged_model import copy_tile_code
from pipeline.yolo.inference.loaded_model import InferenceSettings, LoadedModel

with warnings.catch_warnings():
    warnings.simplefilter("ignore", UserWarning)  # MLflow on type hints: the signature is given when logging
    from pipeline.tracking.served_model import ServedModel

KINDS = {
    "detect": (DetectionModel, "yolo26n.yaml"),
    "segment": (SegmentationModel, "yolo26n-seg.yaml"),
    "pose": (PoseModel, "yolo26n-pose.yaml"),
    "obb": (OBBModel, "yolo26n-obb.yaml"),
}
PARAMS = {"conf": 0.001, "iou": 0.6, "max_det": 30, "imgsz": 64, "tile": 64, "overlap": 0.25}
IMAGE = np.random.default_rng(0).integers(0, 256, (90, 150, 3), np.uint8)


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    """The name of the package with the code of tiles, which can be imported."""
    folder = copy_tile_code(tmp_path_factory.mktemp("code"))
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder.parent)
        yield folder.name


def serve(weights, package):
    model = ServedModel()
    model.detector, model.tile_package = YOLO(weights), package
    return model


@pytest.mark.parametrize(
    "task", ["detect", *(pytest.param(task, marks=pytest.mark.slow) for task in ("segment", "pose", "obb"))]
)
def test_tiles_give_the_objects_that_the_pipeline_finds(tmp_path, package, task):
    torch.manual_seed(0)
    kind, description = KINDS[task]
    model = kind(description, nc=2, verbose=False)
    model.names = {0: "pit", 1: "stain"}
    torch.save({"model": model, "train_args": {"task": task, "imgsz": 64}}, tmp_path / "best.pt")
    how = InferenceSettings(**PARAMS, batch=1, device="cpu", threads=1)
    with LoadedModel(tmp_path / "best.pt", settings=how) as loaded:
        (expected,) = loaded.predict([IMAGE])
    rows = serve(tmp_path / "best.pt", package).predict(IMAGE[..., ::-1], PARAMS)
    assert len(rows) == len(expected.scores) > 0
    np.testing.assert_allclose(rows["score"], expected.scores, atol=1e-4)
    assert rows["class"].tolist() == expected.classes.tolist()
    boxes = rows[["x1", "y1", "x2", "y2"]].to_numpy()
    wanted = [outline[:2].ravel() for outline in expected.outlines] if task == "obb" else expected.boxes
    np.testing.assert_allclose(boxes, wanted, atol=0.1)
    assert f"{package}.detections" in sys.modules


def test_a_small_image_or_a_tile_of_zero_is_predicted_whole(tmp_path):
    torch.manual_seed(0)
    model = DetectionModel("yolo26n.yaml", nc=2, verbose=False)
    torch.save({"model": model, "train_args": {"task": "detect", "imgsz": 64}}, tmp_path / "best.pt")
    served = serve(tmp_path / "best.pt", "is not imported")
    whole = served.predict(IMAGE, PARAMS | {"tile": 0})
    assert len(whole)
    assert whole.equals(served.predict(IMAGE, PARAMS | {"tile": 150}))


@pytest.mark.parametrize("task", ["classify", "detect"])
@pytest.mark.parametrize("form", [dict, list])
def test_classes_have_the_names_of_the_training_and_not_the_words_of_ultralytics(tmp_path, task, form):
    torch.manual_seed(0)
    kind = ClassificationModel if task == "classify" else DetectionModel
    model = kind(f"yolo26n{'-cls' * (task == 'classify')}.yaml", nc=2, verbose=False)
    names = ["n01440764", "n02102040"]
    model.names = dict(enumerate(names)) if form is dict else names
    torch.save({"model": model, "train_args": {"task": task, "imgsz": 64}}, tmp_path / "best.pt")
    rows = serve(tmp_path / "best.pt", "is not imported").predict(IMAGE, {"conf": 0.0, "imgsz": 64})
    assert len(rows) >= 2
    assert rows["name"].tolist() == [names[cls] for cls in rows["class"]]
