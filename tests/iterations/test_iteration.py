"""The settings that an iteration was evaluated with."""

import pytest

from pipeline.config.groups.evaluate import EvaluateConfig
from pipeline.config.schema import Config
from pipeline.iterations.iteration import Iteration, get_evaluation_settings
from pipeline.iterations.recorded_iteration import add_training_facts

PRESENT = {"conf": 0.001, "iou": 0.7, "max_det": 300, "tile": 640, "overlap": 0.2}
OWN = {"conf": 0.01, "iou": 0.5, "max_det": 100, "tile": 320, "overlap": 0.3}
CHOSEN = {"conf": 0.4, "iou": 0.6, "max_det": 50, "imgsz": 64}


@pytest.mark.parametrize(
    ("params", "predicts_with", "expected"),
    [
        ({}, {}, PRESENT),
        (OWN, {}, OWN),
        ({"tile": None}, {}, {**PRESENT, "tile": None}),
        ({}, CHOSEN, {**PRESENT, "iou": 0.6, "max_det": 50, "tile": None}),
        (OWN, {**CHOSEN, "tile": 96, "overlap": 0.1}, {**CHOSEN, "conf": 0.01, "tile": 96, "overlap": 0.1}),
    ],
)
def test_settings_of_an_evaluation_are_those_recorded_else_the_present_ones(params, predicts_with, expected):
    config = Config.model_construct(evaluate=EvaluateConfig.model_construct(**PRESENT))
    own = {f"evaluate.{name}": value for name, value in params.items()}
    run = Iteration("a", "run", "a", params=own, predicts_with=predicts_with)
    found = get_evaluation_settings(run, config)
    assert found == {name: value for name, value in expected.items() if name != "imgsz"}


def test_the_data_of_weights_is_that_of_their_training_whatever_lies_beside_them():
    found = Iteration("workspace", "revision", "workspace", data="d2")
    assert add_training_facts(found, {"data": "d1"}).data == "d1"
    assert add_training_facts(found, {}).data == "d2"
