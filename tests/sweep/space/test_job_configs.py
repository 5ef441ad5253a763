"""Quick configurations of jobs beside those that Hydra composes."""

from __future__ import annotations

import shutil
from itertools import product
from pathlib import Path

import pytest

from pipeline.compose.stage import compose_conf
from pipeline.core.errors import UserError
from pipeline.sweep.space import job_configs
from pipeline.sweep.space.job_configs import JobConfigs

ROOT = Path(__file__).parents[3]


@pytest.fixture
def project(tmp_path, monkeypatch):
    shutil.copytree(ROOT / "conf", tmp_path / "conf")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    "words",
    [
        ["seed=3", "finetune=head", "finetune.lr0=1e-3"],
        ["finetune.freeze=[1,2]", "data.split={train: 1, val: 2}"],
        ["model.lr0.full=0.02", "data.source=/a b/c", "finetune.cache=null"],
        ["~tracking.tags", "+tracking.tags.line='a b'", "seed=4"],
        ["++finetune.lr0=1", "finetune.lr0=2"],
        ["finetune.lr0=${model.lr0.head}", "model.lr0.head=0.3"],
        ["finetune.imgsz=${finetune.epochs}", "data.epochs=64", "augment=none", "finetune=gradual"],
        ["data.epochs=7", "finetune=gradual", "augment=none", "evaluate.batch=3"],
        ["+experiment=foundation", "augment=light", "finetune=full", "seed=2"],
        ["data=auto", "data.source=[/a,/b]", "data.classes.keep=[x]", "compute=ray"],
        [r"tracking.run_name='a\\b'", "tracking.experiment=x"],
    ],
)
@pytest.mark.usefixtures("shared_conf")
def test_quick_configuration_of_a_job_is_that_of_hydra(words):
    configs = JobConfigs()
    configs.compose(["seed=9", "finetune=head"])
    assert repr(configs.compose(words)) == repr(compose_conf(words).values)


@pytest.mark.usefixtures("shared_conf")
def test_groups_are_joined_from_what_each_changes(monkeypatch):
    calls = []
    compose = job_configs.compose_nodes
    monkeypatch.setattr(job_configs, "compose_nodes", lambda words: calls.append(words) or compose(words))
    configs = JobConfigs()
    names = [("full", "gradual"), ("none", "light")]
    found = {words: configs.compose(words) for words in product(*map(_write, ("finetune", "augment"), names))}
    assert len(calls) == 1 + sum(map(len, names))
    words = ("finetune=gradual", "augment=none")
    assert repr(found[words]) == repr(compose_conf(words).values)


def _write(group, names):
    return [f"{group}={name}" for name in names]


def test_a_file_that_changes_other_groups_is_composed_by_hydra(project):
    text = "# @package _global_\ndefaults:\n  - override /augment: none\nfinetune: {epochs: 3}\n"
    (project / "conf/finetune/odd.yaml").write_text(text)
    words = ["finetune=odd", "model=yolov8n"]
    assert repr(JobConfigs().compose(words)) == repr(compose_conf(words).values)


def test_a_file_that_another_choice_decides_is_composed_by_hydra(project):
    config = project / "conf/config.yaml"
    config.write_text(
        config.read_text().replace("  - _self_", "  - extra: ${finetune}_${augment}\n  - _self_")
    )
    (project / "conf/extra").mkdir()
    for name in ("full_light", "head_light", "full_none", "head_none"):
        (project / f"conf/extra/{name}.yaml").write_text(f"chosen: {name}\n")
    words = ["finetune=head", "augment=none"]
    found = JobConfigs().compose(words)
    assert found["extra"] == {"chosen": "head_none"}
    assert repr(found) == repr(compose_conf(words).values)


@pytest.mark.parametrize(
    "words",
    [
        ["finetune.lr00=1"],
        ["finetune=full,hed"],
        ["finetune=hed", "augment=none"],
        ["finetune.lr0=${nothing}"],
    ],
)
@pytest.mark.usefixtures("shared_conf")
def test_what_hydra_cannot_compose_is_one_sentence(words):
    with pytest.raises(UserError) as refused:
        JobConfigs().compose(words)
    assert "\n" not in str(refused.value)


@pytest.mark.usefixtures("shared_conf")
def test_a_composed_configuration_is_the_callers_own():
    configs = JobConfigs()
    configs.compose(["seed=1"])["finetune"]["lr0"] = 7
    assert configs.compose(["seed=1"])["finetune"]["lr0"] != 7
