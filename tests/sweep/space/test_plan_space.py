"""Axes of a sweep, in a copy of the project's conf/."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from pipeline.sweep.space.job_configs import JobConfigs
from pipeline.compose.stage import compose_conf
from pipeline.sweep.space.plan_space import plan_sweep
from pipeline.core.errors import UserError

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def project(tmp_path, monkeypatch):
    shutil.copytree(ROOT / "conf", tmp_path / "conf")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("overrides", "strategy"),
    [(["finetune=glob(h*)"], "head"), (["finetune=gradual,head"], "gradual"), (["seed=range(1,3)"], "full")],
)
def test_a_sweep_is_previewed_by_its_first_values(overrides, strategy):
    assert plan_sweep(overrides).first["finetune"]["strategy"] == strategy


def test_a_file_that_a_sweep_names_last_and_is_not_there_is_refused_before_the_first_job():
    with pytest.raises(
        UserError, match="there is no finetune/hed: choose one of full, gradual, head, scratch"
    ):
        plan_sweep(["seed=range(1,1000)", "finetune=full,hed"])


def test_a_pattern_that_no_file_fits_is_refused():
    with pytest.raises(UserError, match=r"^the command: finetune=glob\(z\*\) fits nothing in conf/finetune$"):
        plan_sweep(["seed=1,2", "finetune=glob(z*)"])


@pytest.mark.parametrize("word", ["finetune.lr0=interval(1e-4,1e-2)", "seed=tag(a,interval(0,9))"])
def test_a_range_without_steps_is_refused_for_hydras_own_sweeper_takes_none(word):
    with pytest.raises(UserError) as refused:
        plan_sweep(["data.seed=1,2", word])
    key = word.partition("=")[0]
    assert str(refused.value).startswith(f"the command: {word} ")
    assert f"{key}=A,B,C" in str(refused.value)
    assert plan_sweep([f"{key}=choice(1,0.01)" if key == "finetune.lr0" else f"{key}=choice(1,2)"])


@pytest.mark.parametrize(
    ("overrides", "axis", "advice"),
    [
        (["+sweep=learning_rate,strategies"], "+sweep=learning_rate,strategies", "+sweep=learning_rate or"),
        (["finetune.lr0=1e-3,1e-2", "seed=1,2,1"], "seed=1,2,1", "each value once"),
        (["seed=1,2", "finetune.lr0=0.001,1e-3"], "finetune.lr0=0.001,1e-3", "each value once"),
        (["seed=1,2,3", "finetune.lr0=1e-2,0.001,1e-3"], "finetune.lr0=1e-2,0.001,1e-3", "each value once"),
        (["finetune=head,head"], "finetune=head,head", "each value once"),
        (["hydra.verbose=true,false"], "hydra.verbose=true,false", "keys that the configuration uses"),
        (["+sweep=same"], "finetune=head,twin", "each value once"),
    ],
)
def test_an_axis_that_changes_nothing_is_refused_by_name(project, overrides, axis, advice):
    shutil.copy(project / "conf/finetune/head.yaml", project / "conf/finetune/twin.yaml")
    (project / "conf/sweep/same.yaml").write_text(
        "# @package _global_\nhydra: {sweeper: {params: {finetune: 'head,twin'}}}\n"
    )
    with pytest.raises(UserError) as refused:
        plan_sweep(overrides)
    assert str(refused.value).startswith(f"the command: {axis} changes nothing from ")
    assert advice in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "overrides", [["+sweep=strategies"], ["+sweep=strategies", "finetune=full"], ["seed=1"]]
)
def test_axes_that_change_something_are_composed(overrides):
    assert plan_sweep(overrides).first["finetune"]["strategy"] == "full"


def test_folds_without_their_number_are_refused_before_the_first_job():
    with pytest.raises(UserError, match=r"data\.fold=range\(0,5\) needs .*data\.folds=5"):
        plan_sweep(["data.fold=range(0,5)"])
    assert plan_sweep(["data.folds=5", "data.fold=range(0,5)"]).first["data"]["folds"] == 5


@pytest.mark.parametrize(
    ("word", "nearest"),
    [
        ("+foo=1,2", None),
        ("foo=1,2", None),
        ("+finetune.lr=1e-3,1e-2", "finetune.lr"),
        ("finetun.lr0=1e-3,1e-2", "finetune.lr0"),
        ("+imgsz=320,640", "imgsz"),
        ("++data.on_leek=refuse,allow", "data.on_leak"),
        ("finetun=full,head", "finetune"),
        ("+finetune.gradual.evry=1", "finetune.gradual.every"),
        ("~finetune.lr00", "finetune.lr0"),
    ],
)
def test_an_unknown_key_is_refused_with_the_nearest(word, nearest):
    with pytest.raises(UserError) as refused:
        plan_sweep(["seed=1,2", word])
    key = word.lstrip("+~").partition("=")[0]
    assert str(refused.value).startswith(f"the command: {key} is not a known key")
    assert (nearest is None) == ("did you mean" not in str(refused.value))
    assert (nearest or "") in str(refused.value)


def test_an_unknown_key_of_a_prepared_sweep_is_refused(project):
    (project / "conf/sweep/typo.yaml").write_text(
        "# @package _global_\nhydra: {sweeper: {params: {finetune.lr1: '1,2'}}}\n"
    )
    with pytest.raises(UserError, match=r"finetune\.lr1 is not a known key"):
        plan_sweep(["+sweep=typo"])


@pytest.mark.parametrize(
    "overrides", [["+tracking.tags.line=a", "seed=1,2"], ["+experiment=smoke", "seed=1,2"], ["data=demo"]]
)
def test_free_names_and_groups_are_known_keys(overrides):
    assert plan_sweep(overrides)


@pytest.mark.parametrize(
    "overrides",
    [
        ["data.on_leak=warn,error"],
        ["seed=1,2", "data.on_defect=mend,drop"],
        ["finetune.optimizer=auto", "finetune.lr0=0.001,0.01"],
        ["data=auto", "seed=1,2"],
        ["finetune.lr0=7,8", "seed=1,2"],
    ],
)
def test_a_sweep_none_of_whose_jobs_can_run_is_refused(overrides):
    with pytest.raises(UserError, match="no job of this sweep can run"):
        plan_sweep(overrides)


@pytest.mark.fault(14, "a value of a sweep that no job can use")
@pytest.mark.parametrize(
    ("overrides", "word"),
    [
        (["finetune.lr0=0.01,abc"], "finetune.lr0=abc"),
        (["seed=1,2,3", "finetune.lr0=0.01,0.02,7,0.03"], "finetune.lr0=7"),
        (["finetune=head,gradual", "finetune.freeze=5"], "finetune=gradual"),
        (["seed=range(1,4096)", "data.on_leak=refuse,warn"], "data.on_leak=warn"),
    ],
)
def test_a_value_that_no_job_can_use_is_refused_before_the_first_job(overrides, word):
    with pytest.raises(UserError) as refused:
        plan_sweep(overrides)
    assert str(refused.value).startswith(f"the command: no job with {word} can run: ")


def test_a_combination_that_cannot_run_is_told_before_the_first_job():
    plan = plan_sweep(["finetune.optimizer=auto,AdamW", "finetune.lr0=0.001,null", "seed=4"])
    assert [sentence.partition(": ")[0] for sentence in plan.impossible] == [
        "finetune.optimizer=auto finetune.lr0=0.001",
        "finetune.optimizer=AdamW finetune.lr0=null",
    ]
    assert plan_sweep(["finetune.lr0=0.001,0.002"]).impossible == []


def test_a_value_that_only_other_values_than_the_first_allow_is_kept_in_a_large_sweep():
    plan = plan_sweep(["data.folds=5,10", "data.fold=range(0,10)", "seed=range(0,20)"])
    assert "data.folds=5 data.fold=7 seed=0" in [sentence.partition(": ")[0] for sentence in plan.impossible]


@pytest.mark.parametrize(
    ("axis", "others", "reason"),
    [
        ("finetune.gradual.groups=2,3", [], "finetune.strategy=full"),
        ("finetune.gradual.stall=2,3", ["finetune=gradual"], "finetune.gradual.trigger=schedule"),
        ("finetune.dis=2,3", [], "finetune.distill_model=null"),
        ("finetune.pose=2,3", [], "data.task=detect"),
        ("augment.offline.rotate=2,3", ["augment=none"], "augment.offline.multiplier=1"),
        ("data.sizes=refuse,trust_image", [], "data.format=demo"),
        ("tracking.timeout=1,2", [], "tracking.timeout decides no result"),
        ("data.imgsz=320,640", ["finetune.imgsz=128"], "data.imgsz decides no result"),
        ("model.lr0.head=0.1,0.2", [], "model.lr0.head decides no result"),
    ],
)
def test_an_axis_of_a_key_that_nothing_uses_is_refused_with_the_reason(axis, others, reason):
    with pytest.raises(UserError) as refused:
        plan_sweep([*others, axis])
    assert str(refused.value).startswith(f"the command: {axis} changes nothing from ")
    assert reason in str(refused.value)


@pytest.mark.parametrize(
    "overrides",
    [
        ["finetune.gradual.groups=2,3", "finetune=gradual"],
        ["finetune.gradual.groups=2,3", "finetune=full,gradual"],
        ["augment.offline.rotate=2,3", "augment=none,light"],
        ["data.imgsz=320,640"],
        ["model.lr0.full=0.001,0.002"],
        ["data.sizes=refuse,trust_image", "data=auto", "data.source=/x"],
        ["finetune.pose=2,3", "data.task=pose"],
    ],
)
def test_an_axis_that_some_combination_uses_is_kept(overrides):
    assert plan_sweep(overrides)


@pytest.mark.parametrize(
    "words",
    [
        ["seed=3", "finetune=head", "finetune.lr0=1e-3"],
        ["finetune.freeze=[1,2]", "data.split={train: 1, val: 2}"],
        ["model.lr0.full=0.02", "data.source=/a b/c", "finetune.cache=null"],
        ["~tracking.tags", "+tracking.tags.line='a b'", "seed=4"],
        ["++finetune.lr0=1", "finetune.lr0=2"],
    ],
)
def test_quick_configuration_of_a_job_is_that_of_hydra(words):
    configs = JobConfigs()
    configs.compose(["seed=9", "finetune=head"])
    assert configs.compose(words) == compose_conf(words).values
