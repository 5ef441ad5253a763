"""Keys that an experiment sets without effect are told before its training."""

from __future__ import annotations

import json
from copy import deepcopy

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from pipeline.config.groups.augment import OnlineAugmentation
from pipeline.core.tasks import Keypoints
from pipeline.finetune.unused_keys import list_unused_flips, list_unused_keys
from tests import trainings


def _compose(*words: str):
    with initialize_config_dir(str(trainings.CONF), version_base=None):
        return OmegaConf.to_container(compose("config", overrides=[*words]), resolve=True)


@pytest.mark.parametrize(
    ("words", "task", "told"),
    [
        ([], "detect", []),
        (["finetune.pose=3"], "detect", ["finetune.pose"]),
        (["finetune.pose=3"], "pose", []),
        (["finetune.mask_ratio=2", "finetune.lr0=0.1"], "obb", ["finetune.mask_ratio"]),
        (["finetune.time=0.5", "finetune.epochs=7"], "detect", ["finetune.epochs"]),
        (["finetune.lrf=1.0", "finetune.cos_lr=false"], "detect", ["finetune.cos_lr"]),
        (["finetune.compile=true", "finetune.distill_model=a.pt"], "detect", ["finetune.compile"]),
        (["finetune=gradual"], "detect", []),
        (["finetune=scratch"], "segment", []),
        (["model=yolo11n", "tracking.timeout=9"], "classify", []),
        (["augment.online.mixup=0.3"], "classify", ["augment.online.mixup"]),
        (["augment.online.mixup=0.3"], "detect", []),
        (["augment.online.erasing=0.9"], "detect", ["augment.online.erasing"]),
        (["augment=none", "augment.offline.rotate=20"], "detect", ["augment.offline.rotate"]),
        (["augment=strong"], "classify", []),
        (["augment=none"], "classify", []),
        (["augment=copy_paste"], "segment", []),
        (
            ["finetune=gradual", "finetune.gradual.trigger=plateau", "finetune.gradual.every=5"],
            "detect",
            ["finetune.gradual.every"],
        ),
        (["finetune=head", "finetune.angle=3"], "detect", ["finetune.angle"]),
    ],
)
def test_keys_without_effect_are_told_with_their_reason(tmp_path, words, task, told):
    lock = tmp_path / "compose.lock.json"
    lock.write_text(json.dumps({"composed": _compose()}))
    reasons = list_unused_keys(_compose(*words), task, lock, trainings.CONF)
    assert [reason.rpartition(" ")[2] for reason in reasons] == told
    assert all("=" in reason for reason in reasons)


@pytest.mark.parametrize("content", [None, "{}", "no JSON"])
def test_nothing_is_told_of_a_stage_that_was_started_without_compose(tmp_path, content):
    lock, values = tmp_path / "compose.lock.json", deepcopy(_compose("finetune.pose=3"))
    if content is not None:
        lock.write_text(content)
    assert list_unused_keys(values, "detect", lock) == []


@pytest.mark.parametrize(
    ("flip", "flips", "told"),
    [
        ((), (0.5, 0.0), 1),
        ((), (0.0, 0.5), 1),
        ((), (0.0, 0.0), 0),
        ((0, 1), (0.5, 0.5), 0),
        (None, (0.5, 0.5), 0),
    ],
)
def test_flips_have_no_effect_where_it_is_not_known_which_key_points_change_places(flip, flips, told):
    online = OnlineAugmentation(**_compose("augment=none")["augment"]["online"])
    online = online.model_copy(update=dict(zip(("fliplr", "flipud"), flips, strict=True)))
    keypoints = None if flip is None else Keypoints(("point_0", "point_1"), flip)
    assert len(list_unused_flips(keypoints, online)) == told
