"""A learning curve for people: the answer, tables, the page, JSON, MLflow."""

from __future__ import annotations

import json
import re
from functools import cache
from typing import Any

import numpy as np
import pytest

from pipeline.comparison.statistics.curve_forecast import CurveScores, Forecast, measure_sizes
from pipeline.sweep.learning_curve.build_curve import add_forecast, describe_forecast, judge_forecast
from pipeline.sweep.learning_curve.curve_page import build_curve_chart, render_curve_page
from pipeline.sweep.learning_curve.curve_size import CurveSize, LearningCurve, ZeroShotScore
from pipeline.sweep.learning_curve.describe_curve import curve_to_json, describe_learning_curve
from pipeline.sweep.learning_curve.mlflow_log import log_learning_curve
from tests.sweep.report.job_results import make_job, make_result

IMAGES = np.array([100.0, 200.0, 400.0])
SCORES = (0.8 - 0.2 * (IMAGES / 400) ** -0.5)[:, None] + np.array([0.0, 0.004])


@cache
def make_curve(*, forecast: bool = True) -> LearningCurve:
    """Make a learning curve of three sizes, two trainings each."""
    scores = CurveScores(IMAGES, SCORES, np.zeros((3, 0)), 1)
    sizes = [
        CurveSize(images / 400, images, tuple(row), tuple(row + 0.01), ("a", "b"), ("c", "d"))
        for images, row in zip(IMAGES.tolist(), SCORES, strict=True)
    ]
    curve = LearningCurve(
        name="fraction-1a2b3c",
        command="python -m pipeline.sweep",
        task="detect",
        metric="mAP50-95",
        sizes=tuple(sizes),
        intervals=tuple(measure_sizes(scores, seed=0)),
        groups=0,
        forecasts=(),
        course=(),
        verdict="none",
        sentence="no forecast: <b>",
        remarks=("a remark",),
    )
    return add_forecast(curve, scores, seed=0) if forecast else curve


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [(0.01, 0.05, "gain"), (-0.01, 0.03, "unclear"), (-0.002, 0.008, "little"), (0.001, 0.009, "little")],
)
def test_the_answer_follows_from_the_interval(low, high, verdict):
    found = Forecast(2.0, 800, 0.7, (low + high) / 2, low, high)
    assert judge_forecast(found) == verdict
    assert f"({low:.3f} to {high:.3f})" in describe_forecast(found, "top1")


def test_the_terminal_shows_sizes_forecasts_failures_and_the_answer():
    curve = make_curve()
    lost = make_result(4, None, job=make_job(4, overrides=("data.fraction=0.5",)), reason="no space")
    text = "\n".join(describe_learning_curve(curve, [lost]))
    rows = [line.split()[:2] for line in text.splitlines() if line]
    assert ["100", "0.25"] in rows
    assert ["x", "2"] in rows
    assert "data.fraction=0.5) failed: no space" in text
    assert text.endswith(curve.sentence)


def test_json_has_all_numbers():
    values: dict[str, Any] = json.loads(json.dumps(curve_to_json(make_curve()), allow_nan=False))
    assert [size["images"] for size in values["sizes"]] == [100, 200, 400]
    assert [each["times"] for each in values["forecasts"]] == [1.5, 2, 4]
    assert values["course"][-1]["images"] == pytest.approx(1600)
    assert values["verdict"] == "gain"


@pytest.mark.parametrize("forecast", [True, False])
def test_the_page_needs_nothing_else_and_names_cannot_break_it(forecast):
    curve = make_curve(forecast=forecast)
    page = render_curve_page(curve)
    assert ("&lt;b&gt;" in page) is not forecast
    assert "<script" not in page
    assert ("<polygon" in page) is forecast
    assert page.count("<b title=") == 3
    assert not re.search(r'(src|href)="(?!#)', page)


def test_everything_is_within_the_chart():
    chart = build_curve_chart(make_curve())
    places = [float(number) for point in chart["band"].split() for number in point.split(",")]
    places += [number for size in chart["sizes"] for number in (size["left"], size["low"], size["high"])]
    assert 0 <= min(places) <= max(places) <= 100
    assert [text for _, text in chart["x_ticks"]] == ["100", "200", "400", "600", "800", "1,600"]
    assert len(chart["y_ticks"]) > 2


def test_a_model_without_training_is_in_the_table_the_page_json_and_mlflow():
    found = ZeroShotScore("yoloe.pt", "c" * 64, {"RBC": "red blood cell"}, 0.2, 0.1, 0.3, ())
    curve, session = make_curve()._replace(zero_shot=found), Session()
    lines = "\n".join(describe_learning_curve(curve)).splitlines()
    assert "0 (zero-shot) 0 0.2000 0.100 to 0.300" in " ".join(lines[2].split())
    assert "yoloe.pt, zero-shot" in render_curve_page(curve)
    assert 0 <= build_curve_chart(curve)["zero_shot"] <= 100
    log_learning_curve(session, curve)
    assert session.metrics["zero_shot/mAP50-95", None] == 0.2
    assert json.loads(session.files["learning_curve.json"])["zero_shot"]["words"] == found.words


def test_one_size_alone_has_a_chart():
    curve = make_curve(forecast=False)
    one = curve._replace(sizes=curve.sizes[:1], intervals=curve.intervals[:1])
    assert build_curve_chart(one)["sizes"][0]["left"] == 50


class Session:
    """Keeps what is logged."""

    def __init__(self) -> None:
        self.metrics: dict[tuple[str, int | None], float] = {}
        self.tags: dict[str, str] = {}
        self.files: dict[str, str] = {}

    def log_metrics(self, values: dict[str, float], *, step: int | None = None) -> None:
        self.metrics |= {(name, step): value for name, value in values.items()}

    def set_tags(self, values: dict[str, str]) -> None:
        self.tags |= values

    def set_description(self, markdown: str) -> None:
        self.tags["description"] = markdown

    def log_text(self, content: str, file: str) -> None:
        self.files[file] = content


def test_the_parent_run_gets_the_curve_over_images_and_the_forecasts():
    curve, session = make_curve(), Session()
    log_learning_curve(session, curve)
    assert session.metrics["curve/mAP50-95", 400] == curve.intervals[-1].mean
    assert session.metrics["forecast/2x/gain", None] == curve.forecasts[1].gain
    assert session.tags["finetrack.curve.verdict"] == "gain"
    assert curve.sentence in session.tags["description"]
    assert set(session.files) == {"learning_curve.html", "learning_curve.json"}
