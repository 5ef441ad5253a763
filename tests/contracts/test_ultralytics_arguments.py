"""conf/finetune and conf/augment against Ultralytics' own list of arguments: none missing, none unknown."""

from __future__ import annotations

import pytest
from omegaconf import OmegaConf
from ultralytics.cfg import check_cfg
from ultralytics.utils import DEFAULT_CFG_DICT

from pipeline.config.groups.augment import OnlineAugmentation
from pipeline.config.groups.finetune import RESERVED_ARGUMENTS, FinetuneConfig
from pipeline.finetune.stage import PIPELINE_KEYS
from tests.trainings import CONF

NOT_FOR_TRAINING = {
    *("save_json", "conf", "dnn", "nms"),  # validation of other formats
    *("source", "vid_stride", "stream_buffer", "visualize", "augment", "agnostic_nms", "classes"),
    *("retina_masks", "embed", "show", "save_frames", "save_txt", "save_conf", "save_crop", "show_labels"),
    *("show_conf", "show_boxes", "line_width"),
    *("format", "optimize", "dynamic", "simplify", "opset", "workspace", "tracker"),
}
"""Arguments of predict, export and track."""

CHANGED = {
    "epochs": "30: a fine-tuning, not a training from nothing",
    "patience": "10: most of it",
    "optimizer": "explicit: auto ignores lr0",
    "lr0": "low: learned features are refined, not destroyed",
    "momentum": "Adam's beta1, as Ultralytics' auto sets it",
    "warmup_epochs": "in proportion to fewer epochs",
    "warmup_bias_lr": "0, as Ultralytics' auto sets it: 0.1 would wreck learned features",
    "cos_lr": "ends a short training more gently",
    "nbs": "the batch size: a step per batch",
    "cache": "ram: images are decoded once",
}
"""Defaults that differ from Ultralytics', and why."""


def _schema(group):
    return set(group.model_fields)


def _conf(name):
    """Return the values of a group where the data is somebody's own and the weights are official."""
    group = name.partition("/")[0]
    files = {"data": "data/auto.yaml", "model": "model/yolo26n.yaml", group: name}
    whole = OmegaConf.create({key: OmegaConf.load(CONF / file) for key, file in files.items()})
    OmegaConf.resolve(whole)
    return OmegaConf.to_container(whole)[group]


def test_every_train_argument_can_be_set_under_its_own_name():
    native = set(DEFAULT_CFG_DICT)
    ours = (_schema(FinetuneConfig) - PIPELINE_KEYS) | _schema(OnlineAugmentation)
    assert ours - native == set()
    assert native - ours - set(RESERVED_ARGUMENTS) - NOT_FOR_TRAINING == set()
    assert (set(RESERVED_ARGUMENTS) | NOT_FOR_TRAINING) & ours == set()
    assert (set(RESERVED_ARGUMENTS) | NOT_FOR_TRAINING) - native == set()


def test_the_two_groups_share_no_argument():
    assert _schema(FinetuneConfig) & _schema(OnlineAugmentation) == set()


def test_ultralytics_takes_every_value_in_conf():
    values = {**_conf("finetune/full.yaml"), **_conf("augment/none.yaml")["online"]}
    assert values.pop("epochs") == "auto"  # a number once the images are known
    check_cfg({name: value for name, value in values.items() if name in DEFAULT_CFG_DICT})


@pytest.mark.parametrize("file", ["finetune/full.yaml", "augment/none.yaml"])
def test_defaults_are_ultralytics_own_unless_listed(file):
    values = _conf(file)
    values = values.get("online", values)
    changed = {name for name in values if name in DEFAULT_CFG_DICT and values[name] != DEFAULT_CFG_DICT[name]}
    assert changed - set(CHANGED) == set()
    if "finetune" in file:
        assert set(CHANGED) - changed == set()
