"""How a comparison is told: the terminal's table, JSON, MLflow's names, remarks, verdicts."""

import json
import math
from dataclasses import replace

import pytest

from pipeline.comparison.compare_models import ComparedModel
from pipeline.comparison.comparison_report import _name_report, build_report, remark_on_seeds, report_to_json
from pipeline.comparison.mlflow_log import build_metrics, describe_for_mlflow
from pipeline.comparison.models.candidates import Candidate
from pipeline.comparison.statistics.paired_interval import DifferenceEstimate
from pipeline.comparison.text_report import format_p_value, format_report
from pipeline.comparison.verdict import judge_difference, round_needed_images
from pipeline.iterations.iteration import Iteration
from tests.comparison.stored import draw_detections


def build(skills, images=40):
    candidates = [Candidate(f"model {skill}", (Iteration("r", "run", "r"),)) for skill in skills]
    models = [
        ComparedModel(each.label, (draw_detections(images, skill=skill, seed=seed),))
        for seed, (each, skill) in enumerate(zip(candidates, skills, strict=True))
    ]
    return build_report(candidates, models, remarks=[], resamples=200, seed=0)


@pytest.fixture(scope="module")
def report():
    return build((0.5, 0.9, 0.55))


def test_table_names_models_and_marks_what_is_shown(report):
    lines = list(format_report(report))
    assert lines[:3] == ["A  model 0.5", "B  model 0.9", "C  model 0.55"]
    rows = [line for line in lines if line.startswith("mAP50-95 ")]
    assert len(rows) == 2
    assert rows[0].endswith("*")
    assert not rows[1].endswith("*")
    assert max(map(len, lines)) <= 110


def test_json_has_finite_numbers_of_all_models(report):
    found = report_to_json(report)
    json.dumps(found, allow_nan=False)
    assert [each["second"] for each in found["comparisons"]] == ["model 0.9", "model 0.55"]
    main = found["comparisons"][0]["main"]
    assert main["difference"] == pytest.approx(main["second"] - main["first"], abs=1e-5)


def test_a_model_without_a_threshold_takes_precision_and_recall_from_its_own_comparison_alone():
    found = [draw_detections(30, skill=skill, seed=seed) for seed, skill in enumerate((0.5, 0.6, 0.7))]
    candidates = [Candidate(label, (Iteration("r", "run", "r"),)) for label in "ABC"]
    models = [
        ComparedModel(label, (each,), thresholds)
        for label, each, thresholds in zip("ABC", found, ((0.3,), (None,), (0.4,)), strict=True)
    ]
    report = build_report(candidates, models, remarks=[], resamples=200, seed=0)
    names = [{each.name for each in comparison.figures} for comparison in report.comparisons]
    assert names[1] - names[0] == {"precision", "recall", "F1"}
    [remark] = [each for each in report.remarks if "precision" in each]
    assert "with B:" in remark
    known = [model._replace(thresholds=(0.3,)) for model in models]
    remarks = build_report(candidates, known, remarks=[], resamples=200, seed=0).remarks
    assert not any("precision" in each for each in remarks)


def test_the_groups_are_those_that_any_model_knows_of():
    alone, grouped = (draw_detections(40, skill=0.5, copies=copies) for copies in (1, 4))
    models = [
        ComparedModel("A", (alone,)),
        ComparedModel("B", (replace(alone, images=grouped.images),)),
    ]
    candidates = [Candidate(each.label, (Iteration("r", "run", "r"),)) for each in models]
    report = build_report(candidates, models, remarks=[], resamples=200, seed=0)
    assert report_to_json(report)["test"]["groups"] == 10


def test_metrics_of_several_models_have_their_number(report):
    names = build_metrics(report)
    assert {"2/difference/mAP50-95", "3/difference/mAP50-95_low", "3/difference/mAP50-95_p"} <= set(names)
    assert "difference/mAP50" in build_metrics(report._replace(comparisons=report.comparisons[:1]))
    assert "model 0.9 is better" in describe_for_mlflow(report)


def test_each_of_several_verdicts_names_its_model(report):
    told = "\n".join(format_report(report))
    assert "model 0.9 is better" in told
    assert "model 0.55: no difference" in told
    assert "**model 0.55: no difference" in describe_for_mlflow(report)


@pytest.mark.parametrize(("p", "text"), [(0.00002, "<0.001"), (0.0312, "0.031"), (1.0, "1.000")])
def test_p_values_have_three_decimals(p, text):
    assert format_p_value(p) == text


def test_what_one_training_or_several_allow_to_say_is_a_remark():
    commit = {"commit": "1" * 40}
    one, two = (Iteration(name, "run", name, facts=commit) for name in "ab")
    assert "one training each" in remark_on_seeds([Candidate("A", (one,)), Candidate("B", (two,))])[0]
    assert "seeds of A" in remark_on_seeds([Candidate("A", (one,)), Candidate("B", (one, two))])[0]
    assert remark_on_seeds([Candidate("A", (one, two)), Candidate("B", (one, two))]) == []


@pytest.mark.parametrize(
    ("facts", "why"),
    [
        ({"commit": "1" * 40, "dirty": True}, "not committed"),
        ({"commit": "2" * 40}, "not in this clone"),
        ({}, "no commit"),
        ({"commit": "1" * 40}, ""),
        ({"commit": "2" * 40, "code": "c"}, ""),
    ],
)
def test_trainings_of_which_nobody_knows_that_they_had_the_same_code_are_a_remark(facts, why):
    one = Iteration("a", "run", "a", facts={"commit": "1" * 40, **({"code": "c"} if "code" in facts else {})})
    pooled = Candidate("A", (one, Iteration("b", "run", "b", facts=facts)))
    found = remark_on_seeds([pooled, Candidate("B", (one, one))])
    assert len(found) == bool(why)
    assert all(
        "the trainings of A had the same code is not known: " in each and why in each for each in found
    )


def estimate(difference, error=0.02, seeds=0.0):
    return DifferenceEstimate(0.5, 0.5 + difference, error**2, seeds, 50.0, 55, 55)


@pytest.mark.parametrize(("difference", "verdict"), [(0.05, "better"), (-0.05, "worse")])
def test_a_shown_difference_is_better_or_worse(difference, verdict):
    found = judge_difference(estimate(difference), "B", images=55)
    assert (found.verdict, found.needed_images) == (verdict, None)
    assert found.sentence.startswith(f"B is {verdict}: {difference:+.3f} (")


def test_a_difference_that_several_models_make_doubtful_is_not_shown():
    found = judge_difference(estimate(0.05), "B", images=55, p_value=0.06)
    assert found.verdict == "no difference shown"
    assert "several models" in found.sentence


def test_images_of_one_group_show_nothing():
    found = judge_difference(estimate(0.2)._replace(groups=1), "B", images=55)
    assert (found.verdict, found.needed_images) == ("no difference shown", None)
    assert "of one group" in found.sentence


def test_seeds_that_move_the_score_more_than_the_images_ask_for_more_trainings():
    found = judge_difference(estimate(0.01, error=0.001, seeds=0.0004), "B", images=55)
    assert found.needed_images is None
    assert "train each with more seeds" in found.sentence


@pytest.mark.parametrize(
    ("number", "rounded"),
    [(57.3, 58), (99.2, 100), (361.2, 370), (1249, 1300), (1300, 1300), (math.inf, None), (3e6, None)],
)
def test_needed_images_have_two_digits_and_are_rounded_up(number, rounded):
    assert round_needed_images(number) == rounded


@pytest.mark.parametrize("count", [1, 6, 60])
def test_the_name_of_the_run_fits_into_every_database(count):
    name = _name_report(["a long label of a model, number 1234567"] * count)
    assert len(name) <= 250
    assert ("more" in name) == (count > 6)
