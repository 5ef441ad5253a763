"""The image size that a model predicts with: as evaluated, as configured, or as its training chose it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.config.groups.evaluate import EvaluateConfig
from pipeline.core.errors import UserError
from pipeline.core.paths import PARAMS_FILE, TEST_METRICS_FILE, TRAINING_METRICS_FILE
from pipeline.iterations.inference_settings import choose_inference_settings, find_imgsz
from pipeline.iterations.iteration import Iteration
from pipeline.iterations.recorded_results import parse_results


@pytest.mark.parametrize(
    ("predicts_with", "params", "effective", "expected"),
    [
        ({"imgsz": 320}, {"finetune.imgsz": "auto"}, {"imgsz": 416}, 320),
        ({}, {"finetune.imgsz": 512}, {"imgsz": 512}, 512),
        ({}, {"finetune.imgsz": "auto"}, {"imgsz": 416}, 416),
    ],
)
def test_the_size_of_a_run(predicts_with, params, effective, expected):
    facts = {"effective": effective}
    run = Iteration("a", "run", "a", params=params, predicts_with=predicts_with, facts=facts)
    assert find_imgsz(run, Path("best.pt"), stage="predict") == expected


@pytest.mark.parametrize(
    ("imgsz", "training", "expected"),
    [
        (640, {}, {"imgsz": 640}),
        ("auto", {"automatic": {"imgsz": 416, "epochs": 30}}, {"imgsz": 416}),
        ("auto", {"automatic": {"epochs": 30}}, {}),
        ("auto", {}, {}),
    ],
)
def test_the_size_that_the_files_of_a_commit_say(imgsz, training, expected):
    def dump(values: Any) -> bytes:
        return json.dumps(values).encode()

    test = {"test": {"threshold_from": "val", "threshold": 0.3}}
    params = {"finetune": {"imgsz": imgsz}, "evaluate": {"iou": 0.7, "max_det": 300, "tile": None}}
    files = {
        PARAMS_FILE: yaml.safe_dump(params).encode(),
        TRAINING_METRICS_FILE: dump({"val": {}, **training}),
        TEST_METRICS_FILE: dump(test),
    }
    assert parse_results(files).predicts_with == {"conf": 0.3, "iou": 0.7, "max_det": 300, **expected}


@pytest.mark.parametrize("name", ["conf", "iou", "max_det"])
@pytest.mark.parametrize("stage", ["predict", "serve"])
def test_settings_of_detections_are_refused_for_a_classifier(name, stage):
    model = Iteration("a", "run", "a", task="classify")
    how = {
        "evaluate": EvaluateConfig.model_construct(iou=0.7, max_det=9, overlap=0.2, batch=1),
        "stage": stage,
    }
    assert choose_inference_settings(model, Path("a.pt"), {"imgsz": 64}, **how)["imgsz"] == 64
    with pytest.raises(UserError, match=f"^--{name.replace('_', '-')}: "):
        choose_inference_settings(model, Path("a.pt"), {"imgsz": 64, name: 1}, **how)
