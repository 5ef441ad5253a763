"""Features of a teacher: which maps are compared, and what a student learns from them."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from ultralytics.engine import trainer as ultralytics_trainer
from ultralytics.nn.distill_model import DistillationModel
from ultralytics.nn.tasks import ClassificationModel, DetectionModel
from ultralytics.utils import DEFAULT_CFG_DICT

from pipeline.core.errors import UserError
from pipeline.yolo.feature_distillation import FeatureDistillationModel, check_teacher, list_backbone_outputs
from pipeline.yolo.weights import load_weights
from tests import trainings

COMPARED = {
    "yolov8n": [4, 6, 9, 15, 18, 21, 22],
    "yolo11n": [4, 6, 10, 16, 19, 22, 23],
    "yolo26n": [4, 6, 10, 16, 19, 22, 23],
}


def _build(name):
    model = DetectionModel(f"{name}.yaml", nc=2, verbose=False)
    model.args = SimpleNamespace(**{**DEFAULT_CFG_DICT, "imgsz": 64})
    return model


@pytest.mark.parametrize("name", COMPARED)
def test_maps_of_backbone_and_neck_are_compared(name):
    model = _build(name)
    assert FeatureDistillationModel.get_distill_layers(model) == COMPARED[name]
    assert list_backbone_outputs(model) == COMPARED[name][:3]


def test_a_teacher_with_other_strides_is_refused():
    with pytest.raises(UserError, match=r"finetune\.distill_model has feature maps"):
        FeatureDistillationModel(_build("yolov8n-p6"), _build("yolo26n"))


@pytest.mark.parametrize(
    ("teacher", "said"), [("yolov8n-p6", "on 4 feature maps"), ("yolo26n-cls", "finds no objects")]
)
def test_a_teacher_without_the_head_of_the_student_is_refused(teacher, said):
    student = _build("yolo26n")
    kind = ClassificationModel if teacher.endswith("-cls") else DetectionModel
    with pytest.raises(UserError, match=rf"finetune\.distill_model .*{said}"):
        check_teacher(student, kind(f"{teacher}.yaml", nc=2, verbose=False))
    check_teacher(student, _build("yolov8n"))


def test_the_student_learns_and_the_teacher_does_not():
    torch.manual_seed(0)
    teacher = _build("yolov8n")
    model = FeatureDistillationModel(teacher, _build("yolo26n")).train()
    batch = {
        "img": torch.rand(4, 3, 64, 64),
        "bboxes": torch.tensor([[0.5, 0.5, 0.4, 0.4]]),
        "cls": torch.zeros(1, 1),
        "batch_idx": torch.zeros(1),
    }
    loss, items = model.loss(batch)
    assert float(loss[-1].detach()) == pytest.approx(4 * float(items["dis_loss"]), rel=1e-5)
    loss.sum().backward()
    assert all(parameter.grad is None for parameter in teacher.parameters())
    assert all(layer.weight.grad.abs().sum() > 0 for layer in model.projector)
    early = model.student_model.model[0].conv.weight
    assert early.grad.abs().sum() > 0


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["fp32", "auto"])
def test_training_learns_the_features_and_keeps_the_student_alone(tmp_path, precision):
    trainings.dataset(tmp_path)
    teacher = tmp_path / "teacher.pt"
    teacher.write_bytes(trainings.FOUNDATION.read_bytes())
    job = trainings.job(
        tmp_path, precision=precision, epochs=8, distill_model=str(teacher), distill_features=True
    )
    outcome = trainings.run(job)
    losses = [row["train/dis_loss"] for row in outcome.rows]
    assert losses[-1] < 0.95 * losses[0]
    (tmp_path / "best.pt").write_bytes(outcome.weights["best"])
    assert set(load_weights(tmp_path / "best.pt").state_dict()) == set(load_weights(teacher).state_dict())
    assert ultralytics_trainer.DistillationModel is DistillationModel
