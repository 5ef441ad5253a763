"""Wrong configurations are rejected in one sentence that names the key and the allowed values."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.config.schema import Config, ConfigError, parse_config
from pipeline.core.config_diff import flatten_config

ROOT = Path(__file__).parents[2]
DRAWN = {"data.images": None, "data.pixels": None}
DEFAULTS: dict[str, Any] = json.loads((ROOT / "compose.lock.json").read_text())["composed"]


def changed(changes: dict[str, Any], values: dict[str, Any] | None = None) -> dict[str, Any]:
    values = copy.deepcopy(values or GOOD)
    for key, value in changes.items():
        *groups, last = key.split(".")
        group = values
        for name in groups:
            group = group[name]
        group[last] = value
    return values


GOOD = changed(
    {
        "data": {**DEFAULTS["data"], "format": "demo", "images": 280, "pixels": 256, "source": None},
        "data.split": {"train": 160, "val": 60, "test": 60},
        "augment.offline.multiplier": 2,
        "augment.offline.fliplr": 0.0,
        "augment.offline.flipud": 0.0,
        "augment.offline.rotate": 10.0,
        "finetune.epochs": 20,
        "finetune.patience": 10,
        "finetune.strategy": "full",
        "finetune.freeze": None,
        "finetune.optimizer": "AdamW",
        "finetune.lr0": 0.001,
        "finetune.gradual": {"trigger": "schedule", "every": 3, "stall": 3, "groups": 4, "decay": 0.7},
    },
    DEFAULTS,
)
WRONG_VALUES = [
    ({"finetun": {"epochs": 3}}, "finetun is not a known key: did you mean finetune?"),
    ({"finetune.epoch": 3}, "finetune.epoch is not a known key: did you mean finetune.epochs?"),
    ({"finetune.mosaic": 1.0}, "finetune.mosaic is not a known key: did you mean augment.online.mosaic?"),
    ({"finetune.qqqq": 1}, "finetune.qqqq is not a known key"),
    (
        {"finetune.resume": True},
        "finetune.resume is set by the pipeline: run the same command again to resume a stopped training",
    ),
    (
        {"finetune.compile": "maybe"},
        "finetune.compile='maybe' is not allowed: it must be true or false, or one of default, "
        "reduce-overhead, max-autotune, max-autotune-no-cudagraphs",
    ),
    (
        {"finetune.fast": "full"},
        "finetune.fast='full' is not allowed: it must be true or false, or gpu",
    ),
    (
        {"model.sha256": "F59B"},
        "model.sha256='F59B' is not allowed: it must be 64 hexadecimal digits in lower case, or null",
    ),
    (
        {"model.architecture": "yolo26n.pt"},
        "model.architecture='yolo26n.pt' is not allowed: it must be a model YAML such as yolo26n.yaml",
    ),
    (
        {"finetune.epochs": "3"},
        "finetune.epochs='3' is not allowed: it must be a whole number, at least 1, or auto",
    ),
    (
        {"finetune.epochs": 0},
        "finetune.epochs=0 is not allowed: it must be a whole number, at least 1, or auto",
    ),
    (
        {"finetune.imgsz": "automatic"},
        "finetune.imgsz='automatic' is not allowed: it must be a whole number, at least 32 and at most 8192, "
        "or auto",
    ),
    (
        {"finetune.batch": 0},
        "finetune.batch=0 is not allowed: it must be a whole number, at least 1, or on a CUDA GPU -1 (as many"
        " images as fit in 60% of its memory) or a share of its memory such as 0.7",
    ),
    (
        {"finetune.epochs": True},
        "finetune.epochs=true is not allowed: it must be a whole number, at least 1, or auto",
    ),
    (
        {"finetune.lr0": 5},
        "finetune.lr0=5 is not allowed: it must be a number, above 0 and at most 1, or auto, or null",
    ),
    (
        {"finetune.lr0": float("nan")},
        "finetune.lr0=nan is not allowed: it must be a number, above 0 and at most 1, or auto, or null",
    ),
    (
        {"finetune.cache": "disc"},
        "finetune.cache='disc' is not allowed: it must be true or false, or one of ram, disk",
    ),
    (
        {"finetune.freeze": [1.5]},
        "finetune.freeze=[1.5] is not allowed: it must be a whole number, at least 0, or backbone, "
        "or a list, each item a whole number, or text, or null",
    ),
    (
        {"finetune.device": "gpu"},
        "finetune.device='gpu' is not allowed: it must be text such as cpu, mps, cuda:0 or 0, "
        "or a whole number, at least -1, or a list, each item a whole number, at least -1, or cpu, or null",
    ),
    (
        {"finetune.strategy": "ful"},
        "finetune.strategy='ful' is not allowed: it must be one of full, head, gradual, scratch",
    ),
    (
        {"tracking.uri": "mlruns"},
        "tracking.uri='mlruns' is not allowed: it must be a database such as sqlite:///mlflow.db, "
        "or a server such as http://127.0.0.1:5000",
    ),
    (
        {"tracking.uri": "https://me:secret@mlflow.example.org"},
        "tracking.uri must not hold a user or a password, since it is written to files: "
        "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD",
    ),
    (
        {"compute.address": "ray://10.0.0.1:10001"},
        "compute.address='ray://10.0.0.1:10001' is not allowed: it must be auto, for the Ray cluster that "
        "this machine is a node of, or HOST:PORT of a cluster's head",
    ),
    ({"compute.backend": "dask"}, "compute.backend='dask' is not allowed: it must be one of local, ray"),
    ({"tracking.tags": {"a": 1}}, "tracking.tags.a=1 is not allowed: it must be text"),
    ({"augment": 3}, "augment=3 is not allowed: it must be a group of keys"),
    (
        {"finetune.epochs": 0, "seed": -1},
        "seed=-1 is not allowed: it must be a whole number, at least 0 and below 4294967296 (and 1 more)",
    ),
    (
        {"data.format": "yolo", "data.source": "???", **DRAWN},
        "data.source is not given: set it in conf/, or `dvc exp run -S data.source=...` for one run",
    ),
]
FLIPS_ALONE = (("probability", 0.0), ("fliplr", 0.5), ("flipud", 0.5))
WRONG_COMBINATIONS = [
    ({"finetune.batch": -1, "finetune.device": "cpu"}, "finetune.batch=-1 measures the memory of a CUDA GPU"),
    ({"finetune.batch": 0.7, "finetune.device": "mps"}, "finetune.batch=0.7 measures"),
    ({"finetune.batch": 0.7, "finetune.device": ["cpu"]}, "finetune.batch=0.7 measures"),
    ({"finetune.batch": -1, "finetune.device": [0, 1]}, "finetune.batch=-1 cannot be divided among the 2"),
    ({"finetune.batch": 15, "finetune.device": "0,1"}, "a multiple of 2, such as 16"),
    ({"finetune.batch": 16, "finetune.device": "0,1,2"}, "a multiple of 3, such as 24"),
    ({"finetune.device": [1, 1]}, "finetune.device=1,1 must name different GPUs"),
    ({"finetune.device": [-1, -1]}, "finetune.device=-1,-1 must name different GPUs"),
    ({"finetune.device": ["cpu", 0]}, "finetune.device=cpu,0 must name different GPUs"),
    ({"finetune.device": "0,1", "finetune.rect": True, "augment.online.mosaic": 0.0}, "finetune.rect=true"),
    ({"finetune.device": "0,1", "finetune.time": 1.0}, "finetune.time=1.0 is not possible"),
    (
        {
            "finetune.device": "0,1",
            "finetune.compile": True,
            "finetune.strategy": "gradual",
            "finetune.epochs": 20,
        },
        "finetune.compile must be false",
    ),
    ({"finetune.optimizer": "auto"}, "finetune.lr0"),
    ({"finetune.optimizer": "auto", "finetune.lr0": "auto"}, "finetune.lr0"),
    ({"finetune.lr0": "auto", "finetune.device": "0,1"}, "finetune.lr0=auto tests learning rates in one"),
    ({"finetune.lr0": "auto", "finetune.device": "cpu", "finetune.nodes": 2}, "finetune.lr0=auto tests"),
    ({"finetune.lr0": "auto", "finetune.optimizer": "MuSGD"}, "too low for finetune.optimizer=MuSGD"),
    ({"finetune.single_cls": True, "finetune.cls_pw": 0.5}, "finetune.cls_pw=0.5 weighs classes"),
    ({"finetune.single_cls": True, "finetune.repeat_rare": 0.2}, "finetune.repeat_rare=0.2 weighs classes"),
    ({"finetune.lr0": None}, "finetune.lr0 must be a number or auto where finetune.optimizer=AdamW"),
    ({"finetune.strategy": "head"}, "finetune.freeze must name the frozen layers"),
    ({"finetune.strategy": "scratch", "finetune.freeze": 3}, "finetune.freeze must be null"),
    ({"finetune.strategy": "gradual", "finetune.epochs": 9}, "finetune.gradual.groups=4"),
    (
        {"finetune.strategy": "gradual", "finetune.epochs": 20, "finetune.layer_decay": 0.8},
        "finetune.layer_decay must be 1 where finetune.strategy=gradual: it has gradual.decay",
    ),
    (
        {"finetune.strategy": "head", "finetune.freeze": 11, "finetune.layer_decay": 0.8},
        "finetune.layer_decay must be 1 where finetune.strategy=head: its backbone is frozen",
    ),
    (
        {"finetune.strategy": "head", "finetune.freeze": 11, "finetune.freeze_bn": True},
        "finetune.freeze_bn must be false where finetune.strategy=head: frozen layers keep theirs",
    ),
    ({"finetune.strategy": "scratch", "finetune.freeze_bn": True}, "finetune.freeze_bn must be false"),
    ({"finetune.average": 1}, "finetune.average=1 is not allowed: it must be 0, or a number of epochs"),
    ({"finetune.average": 3, "finetune.device": "cpu,cpu"}, "finetune.average=3 is not possible with"),
    ({"finetune.sam": 0.05, "finetune.nbs": 64}, "finetune.batch=16 is smaller than finetune.nbs=64"),
    ({"finetune.sam": 0.05, "finetune.batch": 0.7}, "needs one batch for each optimizer step"),
    ({"finetune.distill_features": True}, "finetune.distill_features=true has no teacher"),
    ({"finetune.sam": 0.05, "finetune.compile": True}, "only possible with finetune.compile=false"),
    (
        {"finetune.sam": 0.05, "finetune.distill_model": "a.pt"},
        "only possible with finetune.distill_model=null",
    ),
    ({"finetune.sam": 0.05, "finetune.device": "cpu,cpu"}, "finetune.sam=0.05 is not possible with"),
    ({"finetune.ema.decay": 1.0}, "finetune.ema.decay"),
    ({"finetune.ema.tau": 0}, "finetune.ema.tau"),
    (
        {"finetune.strategy": "gradual", "finetune.gradual.trigger": "plateau", "finetune.val_every": 2},
        "finetune.val_every=2",
    ),
    (
        {"finetune.strategy": "gradual", "finetune.gradual.trigger": "plateau", "finetune.patience": 3},
        "finetune.patience=3",
    ),
    (
        {"finetune.strategy": "gradual", "finetune.gradual.every": 3, "finetune.patience": 3},
        "finetune.patience=3",
    ),
    ({"finetune.imgsz": 250}, "multiple of 32"),
    ({"compute.backend": "ray", "augment.offline.workers": 4}, "augment.offline.workers=0, or compute=local"),
    ({"finetune.fraction": 0.5}, "finetune.fraction is set by the pipeline: use data.fraction"),
    ({"finetune.rect": True}, "augment.online.mosaic=0"),
    (
        {"finetune.rect": True, "augment.online.mosaic": 0.0, "finetune.repeat_rare": 0.1},
        "finetune.repeat_rare=0.1 draws the order",
    ),
    ({"data.source": "/images"}, "data.source must be null where data.format=demo"),
    ({"data.images": None}, "data.images and data.pixels must be numbers"),
    ({"data.images": 3}, "data.images=3 leaves no image for data.split.val=60"),
    ({"data.format": "coco", **DRAWN}, "data.source must name a folder where data.format=coco"),
    ({"data.format": "coco", "data.source": "/images"}, "must be null where data.format=coco"),
    (
        {f"augment.offline.{key}": 0.0 for key in ("probability", "fliplr", "flipud")},
        "augment.offline.multiplier=2 would only repeat images",
    ),
    (
        {f"augment.offline.{key}": value for key, value in (*FLIPS_ALONE, ("multiplier", 5))},
        "set multiplier=4 and balance=0.0",
    ),
    (
        {f"augment.offline.{key}": value for key, value in (*FLIPS_ALONE, ("balance", 0.5))},
        "as flips alone make 3 of an image",
    ),
]


@pytest.mark.parametrize(("changes", "sentence"), WRONG_VALUES)
def test_wrong_value_is_rejected_in_one_sentence(changes, sentence):
    with pytest.raises(ConfigError) as caught:
        parse_config(changed(changes))
    assert str(caught.value) == sentence


@pytest.mark.parametrize(("changes", "words"), WRONG_COMBINATIONS)
def test_wrong_combination_is_rejected_in_one_sentence(changes, words):
    with pytest.raises(ConfigError) as caught:
        parse_config(changed(changes))
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "changes",
    [
        {"finetune.optimizer": "auto", "finetune.lr0": None},
        {"finetune.strategy": "gradual", "finetune.epochs": 10},
        {"finetune.strategy": "gradual", "finetune.epochs": "auto"},
        {"finetune.imgsz": "auto", "finetune.epochs": "auto", "finetune.lr0": "auto"},
        {"finetune.strategy": "gradual", "finetune.epochs": 3, "finetune.time": 1.0},
        {"finetune.strategy": "head", "finetune.freeze": 11},
        {"finetune.strategy": "scratch", "finetune.layer_decay": 0.8, "finetune.ema": {"decay": 0, "tau": 9}},
        {"finetune.average": 5, "finetune.freeze_bn": True, "finetune.sam": 0.05},
        {"finetune.rect": True, "augment.online.mosaic": 0.0},
        {"finetune.lr0": 1},
        *({"finetune.batch": batch, "finetune.device": None} for batch in (1, -1, 0.7)),
        {"finetune.batch": 0.9, "finetune.device": 0},
        *({"finetune.device": device} for device in ("cpu", "mps", "cuda", "cuda:1", "0", 0, -1, [0], None)),
        *({"finetune.device": device} for device in ("0,1", [0, 1], [3, 1], "cpu,cpu", ["cpu", "cpu"])),
        {"data.format": "yolo", "data.source": "images", **DRAWN},
        {"augment.online.scale": [0.5, 1.5]},
    ],
)
def test_valid_combination_is_accepted(changes):
    assert isinstance(parse_config(changed(changes)), Config)


@pytest.mark.parametrize("key", flatten_config(GOOD))
def test_missing_key_is_named(key):
    values = copy.deepcopy(GOOD)
    *groups, last = key.split(".")
    group = values
    for name in groups:
        group = group[name]
    del group[last]
    with pytest.raises(ConfigError, match=f"^{key} is missing"):
        parse_config(values)


@given(
    st.sampled_from(sorted(flatten_config(GOOD))),
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.lists(st.text()), st.just({})
    ),
)
def test_any_value_is_accepted_unchanged_or_rejected_in_one_line(key, value):
    values = changed({key: value})
    sentence = ""
    try:
        assert flatten_config(parse_config(values).model_dump()) == flatten_config(values)
    except ConfigError as error:
        sentence = str(error)
    assert "\n" not in sentence
    assert len(sentence) < 400
