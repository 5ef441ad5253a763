"""Axes of a sweep, in a copy of the project's conf/."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from pipeline.compose.sweep_axes import compose_first_combination
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
    assert compose_first_combination(overrides)["finetune"]["strategy"] == strategy


def test_a_file_that_a_sweep_names_last_and_is_not_there_is_refused_before_the_first_job():
    with pytest.raises(
        UserError, match="there is no finetune/hed: choose one of full, gradual, head, scratch"
    ):
        compose_first_combination(["seed=range(1,1000)", "finetune=full,hed"])


def test_a_pattern_that_no_file_fits_is_refused():
    with pytest.raises(UserError, match=r"^the command: finetune=glob\(z\*\) fits nothing in conf/finetune$"):
        compose_first_combination(["seed=1,2", "finetune=glob(z*)"])


@pytest.mark.parametrize("word", ["finetune.lr0=interval(1e-4,1e-2)", "seed=tag(a,interval(0,9))"])
def test_a_range_without_steps_is_refused_for_hydras_own_sweeper_takes_none(word):
    with pytest.raises(UserError) as refused:
        compose_first_combination(["data.seed=1,2", word])
    key = word.partition("=")[0]
    assert str(refused.value).startswith(f"the command: {word} ")
    assert f"{key}=A,B,C" in str(refused.value)
    assert compose_first_combination([f"{key}=choice(0.01,1)"])


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
        compose_first_combination(overrides)
    assert str(refused.value).startswith(f"the command: {axis} changes nothing from ")
    assert advice in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "overrides", [["+sweep=strategies"], ["+sweep=strategies", "finetune=full"], ["seed=1"]]
)
def test_axes_that_change_something_are_composed(overrides):
    assert compose_first_combination(overrides)["finetune"]["strategy"] == "full"


def test_folds_without_their_number_are_refused_before_the_first_job():
    with pytest.raises(UserError, match=r"data\.fold=range\(0,5\) needs .*data\.folds=5"):
        compose_first_combination(["data.fold=range(0,5)"])
    assert compose_first_combination(["data.folds=5", "data.fold=range(0,5)"])["data"]["folds"] == 5


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
        compose_first_combination(["seed=1,2", word])
    key = word.lstrip("+~").partition("=")[0]
    assert str(refused.value).startswith(f"the command: {key} is not a known key")
    assert (nearest is None) == ("did you mean" not in str(refused.value))
    assert (nearest or "") in str(refused.value)


def test_an_unknown_key_of_a_prepared_sweep_is_refused(project):
    (project / "conf/sweep/typo.yaml").write_text(
        "# @package _global_\nhydra: {sweeper: {params: {finetune.lr1: '1,2'}}}\n"
    )
    with pytest.raises(UserError, match=r"finetune\.lr1 is not a known key"):
        compose_first_combination(["+sweep=typo"])


@pytest.mark.parametrize(
    "overrides", [["+tracking.tags.line=a", "seed=1,2"], ["+experiment=smoke", "seed=1,2"], ["data=demo"]]
)
def test_free_names_and_groups_are_known_keys(overrides):
    assert compose_first_combination(overrides)


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
        compose_first_combination(overrides)


@pytest.mark.parametrize(
    "overrides",
    [
        ["finetune.lr0=7,8,0.01"],
        ["finetune.optimizer=auto,AdamW", "finetune.lr0=0.001,null"],
        ["finetune=gradual,head", "finetune.freeze=5"],
    ],
)
def test_a_sweep_with_one_valid_job_is_run(overrides):
    assert compose_first_combination(overrides)


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
        compose_first_combination([*others, axis])
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
    assert compose_first_combination(overrides)
