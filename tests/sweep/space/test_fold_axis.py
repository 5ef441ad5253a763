"""Cross-validations in the command of a sweep."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from pipeline.core.errors import UserError
from pipeline.sweep.settings import SweepSettings
from pipeline.sweep.space.fold_axis import plan_folds
from pipeline.sweep.space.parse_axes import parse_axes

ROOT = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def at_root(monkeypatch):
    monkeypatch.chdir(ROOT)


def plan(*overrides: str, **settings):
    chosen = SweepSettings(**settings)
    return plan_folds(parse_axes(overrides, chosen), chosen)


@pytest.mark.parametrize(
    ("overrides", "settings"),
    [
        (["data.folds=5", "data.fold=range(0,5)"], {}),
        (["data.fold=range(5)", "data.folds=5"], {}),
        (["data.folds=5", "data.fold=4,0,1,2,3"], {}),
        (["++data.folds=5", "++data.fold=range(0,5)"], {}),
        (["data.folds=5", "data.fold=range(0,5)"], {"sampler": "random"}),
        ([], {"folds": 5}),
        (["data.folds=5"], {"folds": 5}),
    ],
)
def test_all_folds_are_repetitions_of_each_point(overrides, settings):
    found = plan(*overrides, "seed=1,2", **settings)
    assert found.folds == 5
    assert [axis.key for axis in found.parsed.space.axes] == ["seed"]
    assert found.parsed.texts == ("seed=1,2",)


@pytest.mark.parametrize(
    "overrides",
    [
        ["data.folds=5", "data.fold=0,1"],
        ["data.folds=5,10", "data.fold=range(0,5)"],
        ["data.folds=5", "data.fold=1"],
    ],
)
def test_some_folds_are_points_of_their_own(overrides):
    found = plan(*overrides, "seed=1,2")
    assert found.folds is None
    swept = [word for word in overrides if "," in word]
    assert len(found.parsed.space.axes) == len(swept) + 1


def test_the_number_of_folds_may_come_from_conf(tmp_path, monkeypatch):
    shutil.copytree(ROOT / "conf", tmp_path / "conf")
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "conf/data/demo.yaml"
    file.write_text(file.read_text().replace("folds: null", "folds: 5"))
    assert plan("data.fold=range(0,5)").folds == 5


def test_folds_without_their_number_are_refused_before_the_first_job():
    with pytest.raises(UserError, match=r"data\.fold=range\(0,5\) needs .*data\.folds=5"):
        plan("data.fold=range(0,5)")


@pytest.mark.parametrize(
    ("overrides", "settings", "fault"),
    [
        (["data.folds=10"], {"folds": 5}, "differ"),
        (["data.folds=5", "data.fold=range(0,5)"], {"folds": 5}, "both repeat"),
        (["data.folds=5,10"], {"folds": 5}, "both repeat"),
        (["data.folds=5", "data.fold=1"], {"folds": 5}, "leave data.fold out"),
        (["seed=1,2"], {"seeds": 3}, "both repeat"),
    ],
)
def test_repetitions_that_are_asked_for_twice_are_refused(overrides, settings, fault):
    with pytest.raises(UserError, match=fault):
        plan(*overrides, **settings)
