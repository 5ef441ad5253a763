"""The point that a search begins with: the configuration's own values."""

from __future__ import annotations

import pytest

from pipeline.compose.stage import compose_conf
from pipeline.sweep.settings import SweepSettings
from pipeline.sweep.space.plan_space import plan_space

pytestmark = pytest.mark.usefixtures("shared_conf")


def plan(*overrides: str):
    return plan_space(overrides, SweepSettings(sampler="tpe"))


def test_the_first_point_of_a_search_changes_nothing_in_the_configuration():
    found = plan(
        "finetune=head,full",
        "finetune.lr0=tag(log, interval(1e-4, 1e-2))",
        "augment.online.mosaic=0.0,1.0",
        "finetune.imgsz=range(128, 513, 128)",
        "finetune.batch=8,16",
    )
    assert found.start == {
        "finetune": "full",
        "finetune.lr0": 0.002,
        "augment.online.mosaic": "1.0",
        "finetune.imgsz": 256,
        "finetune.batch": "16",
    }
    assert found.configs.compose(found.start) == compose_conf().values
    assert found.notes == ("the first point is the configuration itself",)


def test_values_of_the_command_count_as_the_configurations_own():
    found = plan("finetune=gradual", "finetune.epochs=9", "finetune.lr0=interval(1e-4, 1e-2)")
    values = compose_conf(["finetune=gradual"]).values
    assert found.start == {"finetune.lr0": values["finetune"]["lr0"]}


@pytest.mark.parametrize(
    ("axis", "named"),
    [
        ("finetune.lr0=interval(0.05, 0.1)", "finetune.lr0"),
        ("finetune.freeze=int(interval(0, 9))", "finetune.freeze"),
        ("finetune.imgsz=range(160, 641, 64)", "finetune.imgsz"),
        ("augment=none,strong", "augment"),
    ],
)
def test_a_space_without_the_configurations_own_value_says_so(axis, named):
    found = plan(axis)
    assert found.start is None
    assert named in found.notes[-1]


def test_a_grid_has_its_own_order():
    assert plan_space(["finetune.lr0=1e-3,2e-3"], SweepSettings()).start is None
