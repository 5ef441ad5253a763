from __future__ import annotations

import matplotlib as mpl
import pytest
from matplotlib import pyplot as plt

from pipeline.sweep.job import JobResult, SweepJob
from pipeline.sweep.study.pictures.draw_pictures import draw_pictures
from pipeline.sweep.study.pictures.picture_study import copy_points
from pipeline.sweep.study.points import StudyPoint
from tests.sweep.study.studies import CHOICES, INTERVALS, MIXED, compute_score

INTERVAL_POINTS = [
    {"finetune.lr0": 10 ** -(1 + number % 4), "finetune.mosaic": number / 10, "finetune.freeze": number % 7}
    for number in range(10)
]
CHOICE_POINTS = [
    {"finetune": name, "finetune.imgsz": size} for name in ("full", "head") for size in ("320", "640", "960")
]
MIXED_POINTS = [{"finetune": name, "finetune.lr0": 1e-3} for name in ("full", "head", "full")]


def build_points(values, *, objectives=1, constant=False, status="complete"):
    def build(number, value):
        score = 0.5 if constant else compute_score(value)
        job = SweepJob(number, number, 0, (), "", "")
        result = JobResult(job, "trained", {"mAP50-95": score}, "mAP50-95", "detect")
        means = (score, 100 * score, score**2)[:objectives] if status == "complete" else ()
        curve = {0: {1: score / 2, 2: score}}
        return StudyPoint(number, value, status, (result,), means, number % 3 != 2, curves=curve)

    return [build(number, value) for number, value in enumerate(values)]


ALONE = ["history", "parallel_coordinates", "slice"]
TWO = [f"{name}_{place}" for place in (1, 2) for name in ALONE]
OBJECTIVES = ("", "milliseconds", "parameters")


@pytest.mark.parametrize(
    ("space", "points", "count", "names"),
    [
        (INTERVALS, build_points(INTERVAL_POINTS), 1, [*ALONE, "importance", "learning_curves"]),
        (INTERVALS, build_points(INTERVAL_POINTS[:1]), 1, [*ALONE, "learning_curves"]),
        (INTERVALS, build_points(INTERVAL_POINTS, constant=True), 1, [*ALONE, "learning_curves"]),
        (CHOICES, build_points(CHOICE_POINTS), 1, [*ALONE, "importance", "learning_curves"]),
        (MIXED, build_points(MIXED_POINTS), 1, [*ALONE, "learning_curves"]),
        (MIXED, build_points(MIXED_POINTS, status="pruned"), 1, ["learning_curves"]),
        (MIXED, build_points(MIXED_POINTS, status="failed"), 1, ["learning_curves"]),
        (MIXED, [], 1, []),
        (
            INTERVALS,
            build_points(INTERVAL_POINTS, objectives=2),
            2,
            [*TWO, "importance", "learning_curves", "pareto_front"],
        ),
        (
            CHOICES,
            build_points(CHOICE_POINTS[:1], objectives=2),
            2,
            [*TWO, "learning_curves", "pareto_front"],
        ),
    ],
)
def test_pictures_are_those_that_have_something_to_show(space, points, count, names):
    style = mpl.rcParams["axes.facecolor"]
    drawn = draw_pictures(points, space, OBJECTIVES[:count], repetitions=1)
    assert drawn.problems == []
    assert [picture.name for picture in drawn.pictures] == names
    assert plt.get_fignums() == []
    assert mpl.rcParams["axes.facecolor"] == style


def test_pictures_are_the_same_each_time_and_can_be_saved(tmp_path):
    drawn, again = (
        draw_pictures(build_points(CHOICE_POINTS), CHOICES, ("",), repetitions=1).pictures for _ in range(2)
    )
    for picture, same in zip(drawn, again, strict=True):
        picture.image.savefig(tmp_path / f"{picture.name}.png", bbox_inches="tight")
        assert picture.page.to_json() == same.page.to_json()
    [importance] = [picture for picture in drawn if picture.name == "importance"]
    assert set(importance.page.data[0].y) == {"finetune", "imgsz"}


def test_feasible_points_are_drawn_as_such_beside_infeasible_ones():
    study = copy_points(build_points(INTERVAL_POINTS), INTERVALS, ("",))
    assert [list(trial.constraints.values()) for trial in study.trials[:3]] == [[-1.0], [-1.0], [1.0]]
    study = copy_points(build_points(INTERVAL_POINTS[:2]), INTERVALS, ("",))
    assert [trial.constraints for trial in study.trials] == [{}, {}]


@pytest.mark.slow
def test_three_objectives_have_a_front():
    points = build_points(INTERVAL_POINTS, objectives=3)
    drawn = draw_pictures(points, INTERVALS, OBJECTIVES, repetitions=1)
    assert drawn.problems == []
    assert drawn.pictures[-1].name == "pareto_front"
