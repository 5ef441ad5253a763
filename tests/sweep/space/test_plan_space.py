"""Search spaces of commands, planned before the first job."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from pipeline.compose.stage import compose_conf
from pipeline.core.errors import UserError
from pipeline.sweep.settings import SweepSettings
from pipeline.sweep.space import checked_points
from pipeline.sweep.space.plan_space import find_ineffective_axes, plan_space

ROOT = Path(__file__).parents[3]


pytestmark = pytest.mark.usefixtures("shared_conf")


@pytest.fixture
def project(tmp_path, monkeypatch):
    """Copy the project's conf/, so that a test can change it."""
    monkeypatch.undo()
    shutil.copytree(ROOT / "conf", tmp_path / "conf")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def few_pairs(monkeypatch):
    monkeypatch.setattr(checked_points, "MAX_PAIRS", 200)


def plan(*overrides: str, **settings):
    return plan_space(overrides, SweepSettings(**settings))


def labels(found):
    return [found.space.build_label(point) for point in found.points]


def test_a_grid_has_all_combinations_in_hydras_order():
    found = plan("finetune.lr0=1e-3,1e-2", "seed=4", "augment=none,light")
    assert found.sampler == "grid"
    assert found.space.fixed == ("seed=4",)
    assert labels(found) == [
        "lr0=0.001 augment=none",
        "lr0=0.001 augment=light",
        "lr0=0.01 augment=none",
        "lr0=0.01 augment=light",
    ]
    assert (found.first["seed"], found.first["finetune"]["lr0"]) == (4, 0.001)
    assert found.notes == ()


def test_a_command_without_axes_is_a_grid_of_one_point():
    found = plan("seed=3")
    assert (found.points, found.first["seed"]) == (({},), 3)


@pytest.mark.parametrize(
    ("overrides", "strategy"),
    [
        (["finetune=glob(*a*)"], "gradual"),
        (["finetune=gradual,head"], "gradual"),
        (["finetune.lr0=interval(1e-4,1e-2)", "finetune=head"], "head"),
    ],
)
def test_a_plan_has_the_configuration_of_the_first_point(overrides, strategy):
    assert plan(*overrides).first["finetune"]["strategy"] == strategy


def test_a_file_that_a_sweep_names_last_and_is_not_there_is_refused_before_the_first_job():
    with pytest.raises(
        UserError, match="there is no finetune/hed: choose one of full, gradual, head, scratch"
    ):
        plan("seed=range(1,1000)", "finetune=full,hed")


@pytest.mark.parametrize(
    ("overrides", "axis"),
    [
        (["finetune=head,twin"], "finetune=head,twin"),
        (["finetune.lr0=1e-2,0.001,1.0e-2"], "finetune.lr0=1e-2,0.001,1.0e-2"),
    ],
)
def test_values_that_are_the_same_configuration_are_refused(project, overrides, axis):
    shutil.copy(project / "conf/finetune/head.yaml", project / "conf/finetune/twin.yaml")
    with pytest.raises(UserError) as refused:
        plan(*overrides)
    assert str(refused.value).startswith(f"the command: {axis} ")
    assert "each value once" in str(refused.value)


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
        plan(*overrides)


@pytest.mark.fault(14, "a value of a sweep that no job can use")
@pytest.mark.parametrize("impossible", ["refuse", "skip"])
@pytest.mark.parametrize(
    ("overrides", "word"),
    [
        (["finetune.lr0=0.01,abc"], "finetune.lr0=abc"),
        (["seed=1,2,3", "finetune.lr0=0.01,0.02,7,0.03"], "finetune.lr0=7"),
        (["finetune=head,gradual", "finetune.freeze=5"], "finetune=gradual"),
        (["seed=range(1,200)", "data.on_leak=refuse,warn"], "data.on_leak=warn"),
        (["finetune.lr0=interval(0.1,1.5)"], "finetune.lr0=1.5"),
        (["finetune.imgsz=int(interval(320,640))"], "finetune.imgsz=321"),
    ],
)
def test_a_value_that_no_job_can_use_is_refused_before_the_first_job(overrides, word, impossible):
    with pytest.raises(UserError) as refused:
        plan(*overrides, impossible=impossible)
    assert str(refused.value).startswith(f"the command: no job with {word} can run: ")


@pytest.mark.fault(14, "combinations of a sweep that cannot run")
def test_combinations_that_cannot_run_are_all_found_before_the_first_job():
    axes = ["finetune=full,head,gradual", "seed=range(0,20)", "finetune.freeze=null,backbone"]
    with pytest.raises(UserError) as refused:
        plan(*axes)
    first, *lines = str(refused.value).splitlines()
    assert first.startswith("the command: 40 of 120 combinations")
    assert len(lines) == 11
    assert lines[0].strip().startswith("finetune=head seed=0 freeze=null: finetune.freeze must name")
    assert lines[-1].strip() == "and 30 more"
    left = plan(*axes, impossible="skip")
    assert len(left.points) == 80
    assert left.notes[0].startswith("40 of 120 combinations")


def test_a_sampled_point_that_cannot_run_is_told_with_its_reason():
    found = plan("finetune=full,head", "finetune.freeze=null,3", sampler="tpe", impossible="skip")
    assert found.points is None
    assert "finetune.freeze" in found.configs.find_error({"finetune": "head", "finetune.freeze": "null"})
    assert found.configs.find_error({"finetune": "full", "finetune.freeze": "null"}) is None
    with pytest.raises(UserError, match="1 of 4 combinations"):
        plan("finetune=full,head", "finetune.freeze=null,3", sampler="tpe")


def test_points_of_intervals_are_composed_as_hydra_would():
    found = plan("finetune.lr0=tag(log,interval(1e-5,1e-2))", "finetune=full,head")
    point = {"finetune.lr0": 1.25e-05, "finetune": "head"}
    assert found.configs.compose(point) == compose_conf(["finetune=head", "finetune.lr0=1.25e-05"]).values


def test_combinations_that_differ_only_in_keys_without_effect_run_once():
    found = plan("finetune=full,gradual", "finetune.gradual.every=2,3", "seed=1,2")
    assert labels(found) == [
        "finetune=full every=2 seed=1",
        "finetune=full every=2 seed=2",
        *(f"finetune=gradual every={every} seed={seed}" for every in (2, 3) for seed in (1, 2)),
    ]
    assert "finetune=full every=3 seed=1 is finetune=full every=2 seed=1" in found.notes[0]
    keys = [
        found.configs.compute_key({"finetune": name, "finetune.gradual.every": every, "seed": "1"})
        for name in ("full", "gradual")
        for every in ("2", "3")
    ]
    assert keys[0] == keys[1]
    assert len(set(keys)) == 3


def test_a_grid_that_is_too_large_is_refused():
    with pytest.raises(UserError, match=r"more than 20,000 combinations.*sweep\.trials"):
        plan("seed=range(0,1000)", "finetune.batch=range(1,100)")


@pytest.mark.usefixtures("few_pairs")
def test_a_large_space_is_checked_two_changes_at_a_time():
    values = ",".join(str(number / 100) for number in range(1, 40))
    axes = [f"finetune.{key}={values}" for key in ("weight_decay", "lrf", "dfl")]
    with pytest.raises(UserError, match="combinations of values cannot run"):
        plan(*axes, "finetune=full,head", "finetune.freeze=null,3", sampler="random")
    assert plan(*axes, "augment.offline.rotate=0,5", "augment=none,light", sampler="random")


@pytest.mark.parametrize(
    ("axis", "others", "reason"),
    [
        ("finetune.gradual.groups=int(interval(2,4))", [], "finetune.strategy=full"),
        ("tracking.timeout=1,2", [], "tracking.timeout decides no result"),
        ("augment.online.close_mosaic=0,5", ["augment.online.mosaic=0"], "augment.online.mosaic=0"),
    ],
)
def test_an_axis_of_a_key_that_nothing_uses_is_refused_with_the_reason(axis, others, reason):
    with pytest.raises(UserError) as refused:
        plan(*others, axis)
    assert str(refused.value).startswith(f"the command: {axis} changes nothing from ")
    assert reason in str(refused.value)


@pytest.mark.parametrize(
    "overrides",
    [
        ["finetune.gradual.groups=2,3", "finetune=full,gradual"],
        ["augment.offline.rotate=2,3", "augment=none,light"],
        ["augment.online.close_mosaic=int(interval(0,5))", "augment.online.mosaic=interval(0,1)"],
    ],
)
def test_an_axis_that_some_combination_uses_is_kept(overrides):
    assert plan(*overrides)


def test_axes_without_effect_for_the_task_of_the_images_are_found_when_it_is_known():
    found = plan("data=auto", "data.source=/x", "finetune.pose=2,3", "finetune.lr0=1e-3,1e-2")
    for task, count in {"pose": 0, "detect": 1}.items():
        sentences = find_ineffective_axes(found.space, task, found.configs)
        assert len(sentences) == count
        assert all(sentence.startswith("finetune.pose ") and task in sentence for sentence in sentences)
    point = {"finetune.pose": "2", "finetune.lr0": "1e-3"}
    other = {**point, "finetune.pose": "3"}
    compute = found.configs.compute_key
    assert compute(point) != compute(other)
    assert compute(point, "detect") == compute(other, "detect")


@pytest.mark.usefixtures("few_pairs")
def test_an_axis_of_a_large_space_that_two_others_decide_has_an_effect():
    values = ",".join(str(number / 100) for number in range(1, 40))
    axes = [f"finetune.{key}={values}" for key in ("weight_decay", "lrf", "dfl")]
    deciders = [
        "augment.offline.probability=0,0.5",
        "augment.offline.multiplier=1,2",
        "augment.offline.rotate=2,3",
    ]
    found = plan(*axes, "augment=none", "augment.offline.fliplr=0.5", *deciders, sampler="random")
    assert find_ineffective_axes(found.space, "detect", found.configs) == []
