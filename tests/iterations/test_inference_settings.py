"""The image size that a model predicts with: as evaluated, as configured, or as its training chose it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.config.groups.evaluate import EvaluateConfig
from pipeline.core.errors import UserError
from pipeline.core.paths import (
    COMPOSE_LOCK_FILE,
    FINETUNED_FOLDER,
    PARAMS_FILE,
    TEST_METRICS_FILE,
    TRAINING_METRICS_FILE,
)
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


def make_files(*, changed: bytes = b"") -> dict[Path, bytes]:
    """Make the files of a training at 640, evaluated on tiles, after conf/ was changed and composed."""
    reports = {
        TRAINING_METRICS_FILE: b'{"val": {"mAP50-95": 0.5}}',
        TEST_METRICS_FILE: b'{"test": {"threshold_from": "val", "threshold": 0.3}}',
    }

    def name(path: Path) -> dict[str, str]:
        return {"path": path.as_posix(), "md5": hashlib.md5(reports[path]).hexdigest()}

    weights = {"path": FINETUNED_FOLDER.as_posix(), "md5": "w.dir"}
    evaluate = {"iou": 0.7, "max_det": 300, "tile": 320, "overlap": 0.2}
    stages = {
        "finetune": {
            "params": {"params.yaml": {"seed": 0, "finetune": {"imgsz": 640, "lr0": "1e-3"}}},
            "outs": [weights, name(TRAINING_METRICS_FILE)],
        },
        "evaluate": {
            "deps": [weights],
            "params": {"params.yaml": {"seed": 0, "evaluate": evaluate, "finetune.imgsz": 640}},
            "outs": [name(TEST_METRICS_FILE)],
        },
    }
    composed = {
        "seed": 1,
        "finetune": {"imgsz": 1280, "lr0": 0.1, "added": 2},
        "evaluate": {"iou": 0.5, "max_det": 9, "tile": None, "overlap": 0.1},
        "tracking": {"experiment": "x"},
    }
    lock = yaml.safe_dump({"stages": stages}).encode()
    files = {PARAMS_FILE: yaml.safe_dump(composed).encode(), Path("dvc.lock"): lock, **reports}
    return {path: content + changed * (path in reports) for path, content in files.items()}


@pytest.mark.fault(2, "conf/ is composed anew, and the weights stay")
def test_the_configuration_is_what_made_the_weights_and_not_the_present_one():
    found = parse_results(make_files())
    assert found.predicts_with == {
        "conf": 0.3,
        "iou": 0.7,
        "max_det": 300,
        "imgsz": 640,
        "tile": 320,
        "overlap": 0.2,
    }
    assert found.params == {
        "seed": 0,
        "finetune.imgsz": 640,
        "finetune.lr0": 0.001,
        "evaluate.iou": 0.7,
        "evaluate.max_det": 300,
        "evaluate.tile": 320,
        "evaluate.overlap": 0.2,
        "tracking.experiment": "x",
    }


def test_values_of_data_and_model_are_those_of_the_training_or_left_out():
    files = make_files()
    lock = yaml.safe_load(files[Path("dvc.lock")])
    stages = lock["stages"]
    stages["finetune"]["deps"] = [
        {"path": "data/prepared", "md5": "p.dir"},
        {"path": "data/augmented", "md5": "a.dir"},
    ]
    stages["finetune"]["params"]["params.yaml"]["model.name"] = "yolo11n"
    stages["prepare"] = {
        "outs": [{"path": "data/prepared", "md5": "p.dir"}],
        "params": {"params.yaml": {"data.split": {"train": 0.8}}},
    }
    stages["augment"] = {
        "outs": [{"path": "data/augmented", "md5": "new.dir"}],  # made anew since the training
        "params": {"params.yaml": {"seed": 3, "augment.offline.multiplier": 4}},
    }
    composed = yaml.safe_load(files[PARAMS_FILE]) | {
        "data": {"split": {"train": 0.5, "test": 0.5}},
        "augment": {"offline": {"multiplier": 4}},
        "model": {"name": "yolo11s", "weights": "yolo11s.pt"},
    }
    files |= {
        PARAMS_FILE: yaml.safe_dump(composed).encode(),
        Path("dvc.lock"): yaml.safe_dump(lock).encode(),
    }
    found = parse_results(files).params
    assert {key: value for key, value in found.items() if key.startswith(("data", "augment", "model"))} == {
        "data.split.train": 0.8,
        "model.name": "yolo11n",
    }
    assert found["seed"] == 0


@pytest.mark.fault(3, "weights are attributed to the source that conf/ names now")
@pytest.mark.parametrize(
    ("made", "source", "unlabelled", "known"),
    [
        ("p.dir", "a", None, {"data.source": "/b", "data.unlabelled_source": None}),
        ("p.dir", "other", None, {"data.unlabelled_source": None}),
        ("p.dir", "a", "c", {"data.source": "/b"}),
        ("new.dir", "a", None, {}),
    ],
)
def test_a_source_is_known_where_the_training_had_it(made, source, unlabelled, known):
    files = make_files()
    lock = yaml.safe_load(files[Path("dvc.lock")])
    lock["stages"]["finetune"]["deps"] = [{"path": "data/prepared", "md5": "p.dir"}]
    lock["stages"]["prepare"] = {
        "outs": [{"path": "data/prepared", "md5": made}],
        "params": {
            "params.yaml": {"data.format": "coco"},
            "compose.lock.json": {"code.prepare": "1", "source": "a", "unlabelled": None},
        },
    }
    composed = yaml.safe_load(files[PARAMS_FILE]) | {"data": {"source": "/b", "unlabelled_source": None}}
    files |= {
        PARAMS_FILE: yaml.safe_dump(composed).encode(),
        Path("dvc.lock"): yaml.safe_dump(lock).encode(),
        COMPOSE_LOCK_FILE: json.dumps({"source": source, "unlabelled": unlabelled}).encode(),
    }
    found = parse_results(files).params
    assert {key: value for key, value in found.items() if key.endswith("source")} == known


def test_reports_that_dvc_did_not_record_are_of_the_present_configuration():
    found = parse_results(make_files(changed=b"\n"))
    assert found.predicts_with == {"conf": 0.3, "iou": 0.5, "max_det": 9, "imgsz": 1280}
    assert (found.params["seed"], found.params["finetune.lr0"]) == (1, 0.1)


def test_an_image_size_of_the_evaluation_alone_is_what_it_predicts_with():
    files = make_files()
    files[Path("dvc.lock")] = files[Path("dvc.lock")].replace(b"finetune.imgsz: 640", b"finetune.imgsz: 960")
    found = parse_results(files)
    assert (found.predicts_with["imgsz"], found.params["finetune.imgsz"]) == (960, 640)


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
