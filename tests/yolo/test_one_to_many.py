"""YOLO26's loss: the weights of its two heads by epoch."""

from types import SimpleNamespace

import pytest
from ultralytics.nn.tasks import DetectionModel
from ultralytics.utils import DEFAULT_CFG_DICT

from pipeline.core.errors import UserError
from pipeline.yolo.one_to_many import ULTRALYTICS_SHARE, begin_criterion

EPOCHS = 5


def _build_model(architecture):
    model = DetectionModel(f"{architecture}.yaml", nc=1, verbose=False)
    model.args = SimpleNamespace(**{**DEFAULT_CFG_DICT, "epochs": EPOCHS})
    return model


@pytest.mark.parametrize(
    ("one_to_many", "finished_epochs", "expected"),
    [
        (ULTRALYTICS_SHARE, 0, 0.8),
        (ULTRALYTICS_SHARE, 1, 0.625),
        (ULTRALYTICS_SHARE, 2, 0.45),
        (ULTRALYTICS_SHARE, 4, 0.1),
        (0.8, 3, 0.8),
        (0.4, 4, 0.4),
    ],
)
def test_the_one_to_many_head_has_its_weight(one_to_many, finished_epochs, expected):
    model = _build_model("yolo26n")
    begin_criterion(model, one_to_many=one_to_many, finished_epochs=finished_epochs)
    assert model.criterion.o2m == pytest.approx(expected)
    assert model.criterion.o2m + model.criterion.o2o == pytest.approx(1)


def test_the_default_is_that_of_ultralytics():
    model = _build_model("yolo26n")
    begin_criterion(model, one_to_many=ULTRALYTICS_SHARE, finished_epochs=0)
    assert model.criterion.final_o2m == model.init_criterion().final_o2m


def test_a_model_with_one_head_has_no_such_weight():
    model = _build_model("yolov8n")
    begin_criterion(model, one_to_many=ULTRALYTICS_SHARE, finished_epochs=2)
    with pytest.raises(UserError, match=r"finetune.one_to_many=0.8"):
        begin_criterion(model, one_to_many=0.8, finished_epochs=0)
