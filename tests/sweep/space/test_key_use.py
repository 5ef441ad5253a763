"""Which keys decide a result beside the other values."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.config.key_conditions import ALWAYS_USED_KEYS, UNUSED_KEYS, USE_CONDITIONS
from pipeline.config.key_use import compute_effective_key, find_reason_of_no_change, names_key
from pipeline.config.messages import flatten_schema
from pipeline.config.schema import Config
from pipeline.sweep.space.job_configs import JobConfigs

ROOT = Path(__file__).parents[3]
KEYS = sorted(flatten_schema(Config.model_json_schema()))
CONDITIONAL = tuple(key for condition in USE_CONDITIONS for key in condition.keys)


@pytest.fixture
def configs(shared_conf):  # noqa: ARG001 - its conf/
    return JobConfigs()


pytestmark = pytest.mark.usefixtures("shared_conf")


def pair(configs, axis, others):
    key, _, values = axis.partition("=")
    return [configs.compose([*others, f"{key}={value}"]) for value in values.split(",")]


@pytest.mark.parametrize("key", KEYS)
def test_each_key_is_known_to_decide_results_always_or_under_conditions_or_never(key):
    tables = [names_key(table, key) for table in (UNUSED_KEYS, ALWAYS_USED_KEYS, CONDITIONAL)]
    assert tables.count(True) == 1, "put it into one of the tables of key_conditions.py"


def test_the_tables_name_keys_of_the_schema_only():
    tables = [
        *UNUSED_KEYS,
        *ALWAYS_USED_KEYS,
        *CONDITIONAL,
        *(key for row in USE_CONDITIONS for key in row.decided_by),
    ]
    assert [name for name in tables if not any(names_key((name,), key) for key in KEYS)] == []


@pytest.mark.parametrize(
    ("axis", "others", "reason"),
    [
        ("finetune.gradual.groups=2,3", [], "finetune.strategy=full"),
        ("finetune.layer_decay=0.8,0.9", ["finetune=gradual"], "finetune.strategy=gradual"),
        ("finetune.ema.tau=100,300", ["finetune.ema.decay=0"], "finetune.ema.decay=0"),
        ("finetune.freeze_bn=true,false", ["finetune=scratch"], "finetune.strategy=scratch"),
        ("finetune.gradual.stall=2,3", ["finetune=gradual"], "finetune.gradual.trigger=schedule"),
        (
            "finetune.gradual.every=2,3",
            ["finetune=gradual", "finetune.gradual.trigger=plateau"],
            "finetune.gradual.trigger=plateau",
        ),
        ("finetune.dis=2,3", [], "finetune.distill_model=null"),
        ("finetune.distill_features=true,false", [], "finetune.distill_model=null"),
        ("finetune.pose=2,3", [], "data.task=detect"),
        ("finetune.box=2,3", ["data.task=classify"], "data.task=classify"),
        ("finetune.dlog=2,3", [], "finetune.dlog decides no result"),
        ("augment.offline.rotate=2,3", ["augment=none"], "augment.offline.multiplier=1"),
        ("augment.offline.rotate=2,3", ["augment.offline.probability=0"], "augment.offline.probability=0"),
        (
            "augment.offline.visible=0.2,0.3",
            ["augment=none", "augment.offline.multiplier=2"],
            "augment.offline.rotate",
        ),
        ("data.sizes=refuse,trust_image", [], "data.format=demo"),
        ("data.samples=2,3", [], "data.samples decides no result"),
        ("tracking.timeout=1,2", [], "tracking.timeout decides no result"),
        ("evaluate.conf=0.1,0.2", [], "evaluate.conf decides no result"),
        ("data.imgsz=320,640", ["finetune.imgsz=128"], "data.imgsz decides no result"),
        ("model.lr0.head=0.1,0.2", [], "finetune.lr0=0.002 does not use model.lr0.head"),
        ("model.lr0.head=0.1,0.2", ["finetune.lr0=auto"], "finetune.strategy=full"),
        ("data.imgsz=320,640", ["finetune.imgsz=auto"], "data.imgsz decides no result"),
        ("augment.online.close_mosaic=0,5", ["augment.online.mosaic=0"], "augment.online.mosaic=0"),
        ("augment.online.copy_paste_mode=flip,mixup", ["data.task=segment"], "augment.online.copy_paste=0"),
        ("augment.online.copy_paste=0,0.5", [], "data.task=detect"),
        ("augment.online.erasing=0,0.5", [], "data.task=detect"),
        ("augment.online.degrees=0,5", ["data.task=classify"], "data.task=classify"),
        ("augment.online.hsv_h=0,0.5", ["data.task=classify"], "augment.online.auto_augment=randaugment"),
        ("finetune.warmup_momentum=0.5,0.8", [], "finetune.optimizer=AdamW"),
        ("finetune.warmup_bias_lr=0,0.1", ["finetune.warmup_epochs=0"], "finetune.warmup_epochs=0"),
        ("finetune.warmup_epochs=0,1", ["finetune.epochs=1"], "finetune.epochs=1"),
        ("finetune.cos_lr=true,false", ["finetune.lrf=1"], "finetune.lrf=1"),
        ("finetune.epochs=20,30", ["finetune.time=0.5"], "finetune.time=0.5"),
        ("finetune.amp=true,fp16", ["finetune.precision=fp32"], "finetune.precision=fp32"),
        ("finetune.amp=true,fp16", ["finetune.device=cpu"], "finetune.device=cpu"),
        ("model.weights=a.pt,b.pt", ["finetune=scratch"], "finetune.strategy=scratch"),
        ("model=foundation,yolo26n", ["finetune=scratch"], "decides no result|finetune.strategy=scratch"),
        ("finetune.cls_remap=true,false", ["finetune=scratch"], "finetune.strategy=scratch"),
        ("data.fold=0,0", [], "the same configuration"),
    ],
)
def test_a_key_without_effect_gives_the_reason_and_the_same_digest(configs, axis, others, reason):
    first, second = pair(configs, axis, others)
    found = find_reason_of_no_change(first, second)
    assert found is not None
    assert any(part in found for part in reason.split("|"))
    assert compute_effective_key(first) == compute_effective_key(second)


@pytest.mark.parametrize(
    ("axis", "others"),
    [
        ("finetune.gradual.groups=2,3", ["finetune=gradual"]),
        ("finetune.gradual.groups=2,3", ["finetune.layer_decay=0.8"]),
        ("finetune.layer_decay=0.8,0.9", []),
        ("finetune.ema.tau=100,300", []),
        ("finetune.freeze_bn=true,false", ["finetune=gradual"]),
        ("augment.offline.rotate=2,3", ["augment=light"]),
        ("augment.offline.probability=0.2,0.3", ["augment=light"]),
        ("data.imgsz=320,640", []),
        ("model.lr0.full=0.001,0.002", []),
        ("model.lr0.full=0.001,0.002", ["finetune.lr0=auto"]),
        ("finetune.lr0=auto,0.002", []),
        ("finetune.warmup_epochs=0,1", ["finetune.epochs=auto"]),
        ("data.sizes=refuse,trust_image", ["data=auto", "data.source=/x"]),
        ("finetune.pose=2,3", ["data.task=pose"]),
        ("finetune.pose=2,3", ["data=auto", "data.source=/x"]),
        ("finetune.dropout=0,0.2", ["data.task=classify"]),
        ("augment.online.close_mosaic=0,5", []),
        ("augment.online.close_mosaic=0,5", ["augment.online.mosaic=0", "augment.online.mixup=0.1"]),
        ("augment.online.hsv_h=0,0.5", ["data.task=classify", "augment.online.auto_augment=null"]),
        ("finetune.warmup_momentum=0.5,0.8", ["finetune.optimizer=SGD"]),
        ("finetune.warmup_epochs=0,1", ["finetune.epochs=1", "finetune.time=0.1"]),
        ("finetune.freeze=null,3", []),
        ("finetune.amp=true,fp16", []),
        ("model=foundation,yolo26n", []),
        ("model=yolov8n,yolo26n", ["finetune=scratch"]),
        ("seed=1,2", []),
        ("finetune.patience=1,1.0", []),
    ],
)
def test_a_key_with_an_effect_gives_another_digest(configs, axis, others):
    first, second = pair(configs, axis, others)
    assert find_reason_of_no_change(first, second) is None
    assert compute_effective_key(first) != compute_effective_key(second)


def test_a_wrong_value_in_a_deciding_key_counts_as_used(configs):
    first, second = pair(configs, "finetune.cos_lr=true,false", ["finetune.epochs=abc"])
    assert compute_effective_key(first) != compute_effective_key(second)
