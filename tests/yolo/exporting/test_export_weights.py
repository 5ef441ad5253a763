"""Real exports with Ultralytics' exporters, at 64 pixels."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from ultralytics import YOLO
from ultralytics.nn.backends.base import BaseBackend
from ultralytics.nn.tasks import ClassificationModel, DetectionModel

from pipeline.core.errors import UserError
from pipeline.core.model_names import model_name_for_task
from pipeline.storage.files import hash_file
from pipeline.yolo.exporting.export_weights import ExportRequest, export_weights, require_variant
from pipeline.yolo.inference.loaded_model import LoadedModel
from pipeline.yolo.inference.model_file import read_export_facts
from tests.builders import draw_objects

WEIGHTS = Path(__file__).parents[3] / "models/foundation/yolo26n-foundation.pt"
SETTINGS = {"imgsz": 64, "conf": 0.05, "iou": 0.7, "max_det": 20, "batch": 1, "device": "cpu"}


def request(form="torchscript", precision="fp32", nms="outside", **changes):
    return ExportRequest(form, precision, nms, imgsz=64, conf=0.05, iou=0.7, max_det=20, **changes)


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    (tmp_path / "export").mkdir()
    return tmp_path


@pytest.fixture
def old(project):
    """A checkpoint without an NMS-free head."""
    torch.manual_seed(0)
    model = DetectionModel("yolov8n.yaml", nc=2, verbose=False)
    torch.save({"model": model, "train_args": {"task": "detect"}}, project / "old.pt")
    return project / "old.pt"


def image():
    return draw_objects(np.array([0, 1, 2]), pixels=64, rng=np.random.default_rng(1))[0]


def predict(weights):
    with LoadedModel(weights, task="detect", settings=SETTINGS) as model:
        return model.predict([image()])[0]


@pytest.mark.parametrize("form", ["torchscript", "onnx"])
def test_exported_file_finds_what_the_checkpoint_finds(project, form):
    before = hash_file(WEIGHTS)
    exported = export_weights(WEIGHTS, project / "export", request(form))
    assert [*(project / "export").iterdir()] == [exported]
    assert hash_file(WEIGHTS) == before
    expected, found = predict(WEIGHTS), predict(exported)
    assert len(expected.scores) > 0
    np.testing.assert_allclose(found.scores, expected.scores, atol=1e-3)
    np.testing.assert_allclose(found.boxes, expected.boxes, atol=0.1)


@pytest.mark.slow  # imports torchvision
def test_nms_in_the_graph_has_the_thresholds_that_were_asked_for(project):
    exported = export_weights(WEIGHTS, project / "export", request(nms="graph"))
    facts = BaseBackend.read_metadata(exported)
    assert facts["args"]["nms"] is True
    expected, found = predict(WEIGHTS), predict(exported)
    np.testing.assert_allclose(found.scores, expected.scores, atol=1e-3)


def test_free_head_is_exported_on_request_alone(project):
    exported = export_weights(WEIGHTS, project / "export", request(nms="free"))
    assert BaseBackend.read_metadata(exported)["end2end"] is True


@pytest.mark.fault(3, "Ultralytics would export another head than the one asked for")
def test_free_head_of_a_model_without_one_is_refused(project, old):
    with pytest.raises(UserError, match="no NMS-free head"):
        export_weights(old, project / "export", request(nms="free"))


@pytest.mark.fault(3, "Ultralytics exports another variant than the one asked for, with a warning alone")
@pytest.mark.parametrize(
    ("facts", "named"),
    [
        ({"args": {"nms": None, "quantize": 32}, "end2end": False, "task": "detect"}, "outside"),
        ({"args": "{'nms': True, 'quantize': 16}", "end2end": "False", "task": "detect"}, "quantize=16"),
    ],
)
def test_file_of_another_variant_is_refused(facts, named):
    with pytest.raises(UserError, match=named):
        require_variant(facts, request(nms="graph"))


@pytest.mark.parametrize(
    ("facts", "nms"),
    [
        ({}, "free"),
        ({"args": {"nms": True, "quantize": 32}, "end2end": False, "task": "detect"}, "graph"),
        ({"args": {"nms": False}, "end2end": "True", "task": "obb"}, "free"),
        ({"args": {"nms": None}, "end2end": False, "task": "classify"}, "outside"),
    ],
)
def test_file_of_the_variant_that_was_asked_for_is_accepted(facts, nms):
    require_variant(facts, request(nms=nms))


@pytest.mark.fault(1, "a file that is no checkpoint is exported")
def test_file_that_is_no_checkpoint_is_refused(project):
    (project / "bad.pt").write_bytes(b"no checkpoint")
    with pytest.raises(UserError, match="could not be exported"):
        export_weights(project / "bad.pt", project / "export", request())


def test_precision_that_needs_a_gpu_is_refused_in_one_sentence(project):
    with pytest.raises(UserError, match="only supported on GPU"):
        export_weights(WEIGHTS, project / "export", request(precision="fp16"))


@pytest.mark.fault(1, "a package reports to its maker which models are converted")
def test_openvino_cannot_report_anything():
    assert sys.modules["openvino_telemetry"] is None


@pytest.mark.slow
@pytest.mark.parametrize(
    ("form", "precision"), [("onnx", "fp16"), ("onnx", "int8"), ("openvino", "fp32"), ("openvino", "fp16")]
)
def test_other_precisions_find_the_same_objects(project, form, precision):
    import cv2

    cv2.imwrite(str(project / "val.png"), image())
    wanted = request(form, precision, calibration=[project / "val.png"] * 4)
    found = predict(export_weights(WEIGHTS, project / "export", wanted))
    expected = predict(WEIGHTS)
    np.testing.assert_allclose(found.scores[:2], expected.scores[:2], atol=0.15)
    np.testing.assert_allclose(found.boxes[:2], expected.boxes[:2], atol=3)


@pytest.mark.parametrize("form", ["torchscript", pytest.param("openvino", marks=pytest.mark.slow), "onnx"])
def test_exported_file_has_the_names_of_the_checkpoint_and_not_the_words_of_ultralytics(project, form):
    model = ClassificationModel("yolo26n-cls.yaml", nc=2, verbose=False)
    model.names = {0: "n01440764", 1: "n02102040"}
    torch.save({"model": model, "train_args": {"task": "classify", "imgsz": 64}}, project / "net.pt")
    exported = export_weights(project / "net.pt", project / "export", request(form))
    assert read_export_facts(exported).names == ("n01440764", "n02102040")
    with LoadedModel(exported, settings=SETTINGS) as loaded:
        assert loaded.names == ("n01440764", "n02102040")


@pytest.mark.slow
@pytest.mark.parametrize("task", ["segment", "pose", "obb", "classify"])
def test_model_of_each_task_predicts_the_same_as_onnx(project, task):
    name = model_name_for_task("yolo26n.yaml", task)
    torch.manual_seed(0)
    YOLO(name).save(project / "net.pt")
    settings = {**SETTINGS, "conf": 0.0001}
    exported = export_weights(project / "net.pt", project / "export", request("onnx")._replace(conf=0.0001))
    found = []
    for weights in (project / "net.pt", exported):
        with LoadedModel(weights, task=task, settings=settings) as model:
            found += model.predict([image()])
    first, second = found
    if task == "classify":
        np.testing.assert_allclose(first, second, atol=1e-4)
        return
    assert len(first.scores) > 0
    np.testing.assert_allclose(first.scores, second.scores, atol=1e-4)
    np.testing.assert_allclose(first.boxes, second.boxes, atol=0.1)
    assert len(first.masks) == len(second.masks)
